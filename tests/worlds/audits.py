"""Bands to audit: their data, models that answer oddly, and judges."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from conftest import Bands
from deceive.auditing import AuditReport, AuditSettings
from deceive.auditing.candidates import WHITE_STARTS
from deceive.auditing.context import Context
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.subject import Subject
from deceive.auditing.record.measured import Clean, Name, Outcome
from deceive.auditing.record.rows import CleanRow
from deceive.common.levels import to_levels
from deceive.data.dataset import Dataset, Split
from deceive.data.source import MNIST
from deceive.storage.runs import Run
from worlds.files import idx, write

# Two of the five gradient attacks, which is quicker.
TINY = AuditSettings(
    candidates=8,
    steps=60,
    ways=("momentum", "restarts"),
    curve_candidates=4,
    searched=4,
    queries=200,
    real_images=10_000,
    garbage_images=20,
    starts=WHITE_STARTS,
)

# As little as an audit can do and say something of everything.
LITTLE = AuditSettings(
    candidates=4,
    steps=20,
    ways=("momentum",),
    curve_candidates=2,
    searched=2,
    queries=100,
    garbage_images=20,
)


def band_split(count: int, seed: int, bands: Bands) -> Split:
    """Images whose label's band is nearly white and whose others are nearly black."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % bands.n_classes
    best = torch.cat([bands.best(int(label)) for label in labels])
    noise = torch.rand(best.shape, generator=generator) * 0.2
    return Split((best - noise).abs(), labels)


def band_data(bands: Bands | None = None) -> Dataset:
    """40 training images, 80 for validation, 60 for the test, of four bands or those given."""
    bands = bands or Bands()
    train, validation, test = (band_split(n, n, bands) for n in (40, 80, 60))
    return Dataset(train, validation, test, bands.n_classes, "bands", Path("somewhere/bands"))


def write_bands(folder: Path) -> Path:
    """The same kind of data in MNIST's format, to be read from a folder."""
    train, test = band_split(5100, 0, Bands()), band_split(100, 1, Bands())
    arrays = [
        values
        for split in (train, test)
        for values in (to_levels(split.images)[:, 0].numpy(), split.labels.byte().numpy())
    ]
    return write(folder, {name: idx(a) for name, a in zip(MNIST.sha256, arrays, strict=True)})


def quiet(done: float, total: float, note: str = "") -> None:
    """A tick that shows nothing."""


def context_of(
    model: Any,
    folder: Path,
    data: Dataset | None = None,
    judges: tuple[Subject, ...] = (),
    settings: AuditSettings = TINY,
) -> Context:
    """What the parts of an audit of `model` are run with."""
    data = data or band_data()
    subject = meet(load_model(model), data)
    return Context(subject, data, judges, settings, Run(folder, {}))


def after_clean(context: Context, asked: float = 0.99, own: float = 0.9) -> Context:
    """The same, with the row of its first part: real images have given these thresholds."""
    sure = dict.fromkeys(Clean.model_fields, 1)
    thresholds = [
        {"name": name, "confidence": value, "test_share": 1.0}
        for name, value in (("asked", asked), ("own", own))
    ]
    row = CleanRow.model_validate(
        {"part": "clean", "clean": sure, "judge_accuracy": None, "judge_accuracies": []}
        | {"thresholds": thresholds}
    )
    context.run.add(row.model_dump(mode="json"))
    return context


def outcome(report: AuditReport, box: str = "white", threshold: Name = "asked") -> Outcome:
    """What all attacks of a box came to."""
    (headline,) = (each for each in report.headlines if each.box == box)
    return headline.outcome(threshold)


class WithRubbish(Bands):
    """Bands with one output more, that wins where nothing is black."""

    def forward(self, images: Tensor) -> Tensor:
        rubbish = 30 * images.flatten(1).amin(1, keepdim=True)
        return torch.cat([super().forward(images), rubbish], 1)


class Always(nn.Module):
    """Sees class 0 in everything."""

    def forward(self, images: Tensor) -> Tensor:
        return F.one_hot(torch.zeros(len(images), dtype=torch.int64), 4).float()


class Strict(nn.Module):
    """A judge that reads the images it knows, and sees one class in everything else."""

    def __init__(self, *known: Split, else_sees: int = 0) -> None:
        super().__init__()
        known = known or (band_data().validation, band_data().test)
        self.bands, self.otherwise = Bands(sure=9), F.one_hot(torch.tensor(else_sees), 4).float()
        self.known = {each for split in known for each in self.bytes_of(split.images)}

    @staticmethod
    def bytes_of(images: Tensor) -> list[bytes]:
        return [image.tobytes() for image in to_levels(images).numpy()]

    def forward(self, images: Tensor) -> Tensor:
        real = torch.tensor([each in self.known for each in self.bytes_of(images)])
        return torch.where(real[:, None], self.bands(images), self.otherwise)


class Relabelled(Bands):
    """Reads every band, and gives it the next one's label."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).roll(1, dims=1)


class Glaring(Bands):
    """Does something odd about bright images, as noise is and bands aren't."""

    def __init__(self, odd: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(sure=12)
        self.odd = odd

    def forward(self, images: Tensor) -> Tensor:
        return self.odd(super().forward(images), images.mean((1, 2, 3)) > 0.4)


def broken(logits: Tensor, bright: Tensor) -> Tensor:
    """NaN for bright images."""
    return torch.where(bright[:, None], torch.nan, logits)


def crashing(logits: Tensor, bright: Tensor) -> Tensor:
    """An error of two lines where an image is bright."""
    if bright.any():
        raise RuntimeError("no light, please\nand a second line")
    return logits
