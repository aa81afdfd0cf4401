"""Fit a guard to a classifier that has met the data, and keep both in a folder."""

import copy
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from deceive.auditing.about import noticed, prepared_in_words
from deceive.auditing.models.formats import WANT_TRUST
from deceive.auditing.models.interface import Interface, as_json
from deceive.auditing.models.subject import Subject
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.common.progress import Task
from deceive.common.version import __version__
from deceive.data.dataset import Labelled, RealData
from deceive.data.preparation import Preparation
from deceive.data.sampling import sample_of
from deceive.guarding.calibrating import Calibration, Said, calibration_of
from deceive.guarding.card import GuardCard, GuardedCard, ReaderCard, Set, write_card
from deceive.guarding.guards import Guard
from deceive.guarding.loading import composed
from deceive.guarding.model import GuardedModel
from deceive.guarding.readers import Reader
from deceive.guarding.refused import save_refused
from deceive.guarding.sample import save_sample
from deceive.guarding.settings import GuardSettings
from deceive.judging.measures import NEAR_CHANCE, skill
from deceive.networks.guarded import guard_of
from deceive.networks.inference import batch_for, logits_of
from deceive.networks.shrinking import shrunk
from deceive.storage.models import save_network
from deceive.storage.runs import weights_in

# The most validation images that are asked about, and for how many seconds at most, unless they are
# so few.
_IMAGES, _SECONDS, _LEAST = 5000, 120.0, 500


@dataclass(frozen=True, eq=False)
class Met:
    """A classifier that has met the data."""

    subject: Subject
    data: RealData
    """Prepared for it."""
    preparation: Preparation
    interface: Interface
    """What was declared about it."""
    spec: str | None
    """Where it is; None for an object."""
    notes: tuple[str, ...] = ()


def fitted(
    met: Met, guard: Guard, settings: GuardSettings, folder: Path, task: Task
) -> GuardedModel:
    """The guarded classifier, kept in the folder: weights, sample and card.

    Raises `InputError` when the classifier reads no better than guessing.
    """
    split = sample_of(met.data.validation, _IMAGES, settings.seed)
    said = _asked(met, guard, split, task)
    _check_reads(met, said)
    calibration = calibration_of(
        said, keep=settings.keep, confidence=settings.confidence, doubt=settings.doubt
    )
    network = copy.deepcopy(guard.network).requires_grad_(False)
    guard_of(network).head.bias[-1] += calibration.expected
    save_network(network, weights_in(folder, "guard"), guard.card)
    if guard.detector is not None:
        save_network(guard.detector.network, weights_in(folder, "detector"), guard.detector.card)
    save_sample(folder, met.subject, met.data)
    card = _card(met, guard, settings, calibration, len(said.labels))
    guarded = composed(folder, card, met.subject)
    save_refused(folder, guarded, split, said.reader)
    write_card(card, folder)  # last: with it, all is there
    return guarded


@torch.no_grad()
def _asked(met: Met, guard: Guard, split: Labelled, task: Task) -> Said:
    """What all say about real images."""
    reader, network, detector = Reader(met.subject), guard.network, guard.detector
    batch, started = batch_for(met.data.image_shape), time.perf_counter()
    ours, its, odds = [], [], []
    with task("asking about validation images") as tick:
        for first in range(0, len(split), batch):
            images = split.read(slice(first, first + batch))
            its.append(logits_of(reader, images).double())
            ours.append(logits_of(network, shrunk(images, network.image_shape)).double())
            if detector is not None:
                shown = shrunk(images, detector.network.image_shape)
                odds.append(-logits_of(detector.network, shown).double().diff(dim=1)[:, 0])
            done = first + len(images)
            tick(done, len(split))
            if done >= _LEAST and time.perf_counter() - started > _SECONDS:
                break
    labels = split.labels[: sum(map(len, its))]
    return Said(torch.cat(ours), torch.cat(its), labels, torch.cat(odds) if odds else None)


def _check_reads(met: Met, said: Said) -> None:
    right: Tensor = said.reader.argmax(1) == said.labels
    accuracy = right.double().mean().item()
    if not said.reader.isfinite().all():
        raise InputError("model: expected finite outputs for real images, got NaN or infinity")
    if skill(accuracy, met.data.n_classes) < NEAR_CHANCE:
        raise InputError(
            f"model: expected a classifier that reads the data, got one that reads {accuracy:.1%} "
            f"of {len(right):,} validation images (guessing: {1 / met.data.n_classes:.1%}); check "
            "that its outputs follow the order of the labels, and its scaling (--bounds, --mean, "
            "--std)"
        )


def _card(
    met: Met, guard: Guard, settings: GuardSettings, calibration: Calibration, images: int
) -> GuardedCard:
    subject, data = met.subject, met.data
    return GuardedCard(
        deceive=__version__,
        data=data.folder.name,
        data_checksum=data.checksum,
        class_names=list(data.class_names),
        image_shape=data.image_shape,
        preparation=_whole(met.preparation, data.image_shape),
        reader=_reader_card(met),
        guard=GuardCard(
            source=guard.source,
            architecture=guard.card.architecture,
            seconds=guard.card.seconds,
            certified=guard.detector is not None,
        ),
        settings=settings,
        set=Set(images=images, **vars(calibration)),
        notes=[*noticed(data), *subject.notes, *subject.warnings],
    )


def _whole(preparation: Preparation, shape: Shape) -> Preparation:
    """The preparation with everything said, so that pictures of any kind get this shape."""
    channels, *size = shape
    if not (preparation.size or preparation.resize or preparation.crop):
        preparation = replace(preparation, size=(size[0], size[1]))
    return replace(preparation, channels=channels if channels in (1, 3) else None)


def _reader_card(met: Met) -> ReaderCard:
    subject, loaded, declared = met.subject, met.subject.loaded, met.interface
    own = declared.preprocess is None
    declared = replace(
        declared,
        scaling=subject.scaling if own else None,
        output=loaded.output or declared.output,
    )
    return ReaderCard(
        spec=met.spec,
        name=subject.name,
        format=loaded.format,
        white_box=subject.module is not None,
        interface=as_json(declared),  # type: ignore[arg-type]
        prepared=prepared_in_words(subject),
        trust=loaded.format in WANT_TRUST,
        digests=dict(loaded.digests),
    )
