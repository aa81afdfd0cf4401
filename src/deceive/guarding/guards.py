"""The guard for some data: a shipped one, one that was trained before, or one that is trained now.

A guard is a whole network of the rounds `resist`: its own guard and readers, in front of which
others are put. What it costs to train is paid once for the data.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from deceive.auditing.judge_training import trained_on
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.common.progress import Task, Tick, quiet
from deceive.data.dataset import Dataset, Labelled, RealData, Split
from deceive.data.sampling import sample_of
from deceive.guarding.settings import GuardSettings
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Network
from deceive.networks.inference import BATCH
from deceive.networks.shrinking import fitting, shrunk
from deceive.storage.card import Card
from deceive.storage.models import load_card, load_network, save_network
from deceive.storage.runs import Run, round_name, weights_in
from deceive.teaching import PRESETS, ResistingSettings, rounds
from deceive.teaching.rows import ROUNDS

SHIPPED = "resist"
"""The shipped guard, for the data it was trained on."""

GUARDS = Path("runs/guards")
"""Where guards that were trained are kept, for every later classifier of the same data."""

# Values of the training images that are held in memory, and the most images for measuring.
_VALUES, _MEASURED = 400_000_000, 10_000

# The fewest training images: readers are trained in batches of as many.
_LEAST = 500

# Seconds for the judge of the rounds, which only measures.
_JUDGE_SECONDS = 120.0


@dataclass(frozen=True, eq=False)
class Detector:
    """Beside a guard: it tells real images from garbage, with bounds that are proved."""

    network: Classifier
    card: Card


@dataclass(frozen=True, eq=False)
class Guard:
    """A guard for some data."""

    network: Network
    card: Card
    source: str
    """Where it comes from: a shipped name or a path."""
    detector: Detector | None = None


def guard_for(
    data: RealData,
    settings: GuardSettings,
    *,
    given: Path | str | None,
    train: bool,
    kept_in: Path,
    task: Task,
    tell: Callable[[str], None] = quiet,
) -> Guard:
    """The guard for the data.

    Args:
        data: real images.
        settings: for one that is trained.
        given: a guard to use: a shipped network or a safetensors file.
        train: train one even if one is shipped for the data.
        kept_in: the folder of guards that were trained.
        task: shows progress.
        tell: called with a sentence before one is trained.

    Raises:
        InputError: when the given one doesn't fit the data, or there are no images to train one on.
    """
    if given is not None:
        return _checked(_loaded(given), data)
    if not train and load_card(SHIPPED).data_checksum == data.checksum:
        return _loaded(SHIPPED)
    return _trained(data, settings, kept_in, task, tell)


def check_guard(
    data: RealData,
    settings: GuardSettings,
    *,
    given: Path | str | None,
    train: bool,
    kept_in: Path,
) -> None:
    """Raise `InputError` when `guard_for` would, before anything is written."""
    if given is not None:
        _checked(_loaded(given), data)
        return
    is_shipped = not train and load_card(SHIPPED).data_checksum == data.checksum
    if not is_shipped and not _finished(data, settings, kept_in).is_file():
        _check_enough(data)


def _loaded(source: Path | str) -> Guard:
    return Guard(load_network(source), load_card(source), str(source))


def _checked(guard: Guard, data: RealData) -> Guard:
    """Raise `InputError` unless it is a guard for the data."""
    card, count = guard.card, data.n_classes
    if card.rubbish_class != card.n_outputs - 1:
        raise InputError(
            f"use: expected a network whose last output is for rubbish, as the rounds "
            f"make it (deceive rounds --preset resist), got {guard.source!r}"
        )
    if card.n_outputs != count + 1:
        raise InputError(
            f"use: expected one for the {count} classes of the data, got {guard.source!r}, for "
            f"{card.n_outputs - 1}"
        )
    if card.data_checksum != data.checksum:
        raise InputError(
            f"use: expected one that was trained on the images in {data.folder}, got "
            f"{guard.source!r}, trained on others"
        )
    return guard


def folder_of(data: RealData, settings: GuardSettings, kept_in: Path) -> Path:
    """Where the guard for the data is kept."""
    extra = "" if settings.seed == 0 else f"-seed-{settings.seed}"
    return kept_in / f"{name_of(data)}-{settings.rounds}{extra}"


def _finished(data: RealData, settings: GuardSettings, kept_in: Path) -> Path:
    """The weights of the guard for the data."""
    return weights_in(folder_of(data, settings, kept_in), round_name(settings.rounds))


def name_of(data: RealData) -> str:
    """A name for the data, which differs for other images."""
    name = re.sub(r"[^\w.-]+", "-", data.folder.name).strip("-.") or "data"
    return f"{name}-{data.checksum[:8]}"


def _trained(
    data: RealData,
    settings: GuardSettings,
    kept_in: Path,
    task: Task,
    tell: Callable[[str], None],
) -> Guard:
    """One from the rounds, which continue where they stopped."""
    folder = folder_of(data, settings, kept_in)
    finished = _finished(data, settings, kept_in)
    if finished.is_file():
        return _loaded(finished)
    tell(
        f"A guard is trained for these images, once, in {settings.rounds:,} rounds: half an hour "
        f"or more. It is kept in {folder}; the same command goes on after an interruption."
    )
    small = small_dataset(data, settings.seed, task)
    asked = PRESETS[SHIPPED].model_copy(
        update={
            "rounds": settings.rounds,
            "seed": settings.seed,
            "training_images": max(100, len(small.train)),
            "shown": (),
            "measured": 2,
            "judge": "judge",
        }
    )
    assert isinstance(asked, ResistingSettings)
    asked.check(small)
    run = Run(folder, asked.model_dump(mode="json") | {"data_checksum": data.checksum}, ROUNDS)
    judge = _judge(run, small, settings, task)
    for _ in rounds(small, run, asked, judge, task):
        pass
    return _loaded(finished)


def _judge(run: Run, data: Dataset, settings: GuardSettings, task: Task) -> Network:
    """The judge that measures the rounds."""
    path = run.weights("judge")
    if not path.is_file():
        with task("training a judge") as tick:
            judge, card = trained_on(data, data.train, settings.seed, _JUDGE_SECONDS, tick)
        save_network(judge, path, card)
    return load_network(path)


def small_dataset(data: RealData, seed: int, task: Task) -> Dataset:
    """The data in memory, at the size that a guard reads.

    Raises `InputError` when there are no training images.
    """
    _check_enough(data)
    assert data.train is not None
    shape = fitting(data.image_shape)
    most = max(1000, _VALUES // math.prod(shape))
    with task("reading the images") as tick:
        train = _read(sample_of(data.train, most, seed), shape, tick)
        validation = _read(sample_of(data.validation, _MEASURED, seed), shape, tick)
        test = _read(sample_of(data.test, _MEASURED, seed), shape, tick)
    return Dataset(
        train,
        validation,
        test,
        n_classes=data.n_classes,
        checksum=data.checksum,
        folder=data.folder,
        class_names=tuple(data.class_names),
    )


def _check_enough(data: RealData) -> None:
    """Raise `InputError` when there are too few training images."""
    count = 0 if data.train is None else len(data.train)
    if count < _LEAST:
        raise InputError(
            f"data: expected at least {_LEAST} training images to train a guard on, got {count}; "
            "name data with more, or a guard that was trained before (--use)"
        )


def _read(split: Labelled, shape: Shape, tick: Tick) -> Split:
    parts = []
    for first in range(0, len(split), BATCH):
        parts.append(shrunk(split.read(slice(first, first + BATCH)), shape))
        tick(min(first + BATCH, len(split)), len(split))
    return Split(torch.cat(parts), split.labels)
