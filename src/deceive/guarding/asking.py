"""Ask a classifier, and then a guard, about validation images."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.common.errors import InputError
from deceive.common.progress import Task
from deceive.data.dataset import Labelled
from deceive.data.sampling import sample_of
from deceive.guarding.calibrating import Said
from deceive.guarding.guards import Guard
from deceive.guarding.meeting import Met
from deceive.guarding.readers import Reader
from deceive.guarding.settings import GuardSettings
from deceive.guarding.training import ANY
from deceive.judging.measures import NEAR_CHANCE, skill
from deceive.networks.inference import batch_for, logits_of
from deceive.networks.shrinking import shrunk

# Asking stops after this many validation images, or after this many seconds, but not before the
# last number of images.
_IMAGES, _SECONDS, _LEAST = 5000, 120.0, 500


@dataclass(frozen=True, eq=False)
class Heard:
    """What a classifier says about validation images."""

    split: Labelled
    """The images, and perhaps more."""
    logits: Tensor
    """(N, K) float64, of the first N."""


@torch.no_grad()
def heard_from(met: Met, settings: GuardSettings, task: Task) -> Heard:
    """What a classifier says about validation images; of a slow one, about fewer.

    Raises `InputError` when it reads no better than guessing.
    """
    split = sample_of(met.data.validation, _IMAGES, settings.seed)
    reader, batch, started = Reader(met.subject), batch_for(split.image_shape), time.perf_counter()
    said = []
    with task("asking the classifier") as tick:
        for first in range(0, len(split), batch):
            said.append(logits_of(reader, split.read(slice(first, first + batch))).double())
            done = min(first + batch, len(split))
            tick(done, len(split))
            if done >= _LEAST and time.perf_counter() - started > _SECONDS:
                break
    heard = Heard(split, torch.cat(said))
    _check_reads(met, heard)
    return heard


def _check_reads(met: Met, heard: Heard) -> None:
    right: Tensor = heard.logits.argmax(1) == heard.split.labels[: len(heard.logits)]
    accuracy = right.double().mean().item()
    if not heard.logits.isfinite().all():
        raise InputError("model: expected finite outputs for real images, got NaN or infinity")
    if skill(accuracy, met.data.n_classes) < NEAR_CHANCE:
        raise InputError(
            f"model: expected a classifier that reads the data, got one that reads {accuracy:.1%} "
            f"of {len(right):,} validation images (guessing: {1 / met.data.n_classes:.1%}); check "
            "that its outputs follow the order of the labels, and its scaling (--bounds, --mean, "
            "--std)"
        )


@torch.no_grad()
def said_by_all(heard: Heard, guard: Guard, task: Task) -> Said:
    """What the classifier, the guard and its detector say about the same images."""
    split, count, detector = heard.split, len(heard.logits), guard.detector
    batch, said, odds = batch_for(split.image_shape), [], []
    with task("asking the guard") as tick:
        for first in range(0, count, batch):
            images = split.read(slice(first, min(first + batch, count)))
            shown = shrunk(images, guard.network.image_shape)
            said.append(logits_of(guard.network, shown).double())
            if detector is not None:
                shown = shrunk(images, detector.network.image_shape)
                odds.append(-logits_of(detector.network, shown).double().diff(dim=1)[:, 0])
            tick(first + len(images), count)
    real = torch.cat(odds) if odds else None
    labels = split.labels[:count]
    return Said(torch.cat(said), heard.logits, labels, real, ANY in guard.card.settings)
