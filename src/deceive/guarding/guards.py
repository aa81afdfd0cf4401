"""The guard for some data: a shipped one, one that was trained before, or one that is trained now.

For MNIST it is the whole of `resist`, its guard and its readers; the user's classifier is one more
reader. For other data a guard is trained (`training.py`), once.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.common.progress import Task, Tick, quiet
from deceive.data.dataset import Dataset, Labelled, RealData, Split
from deceive.data.sampling import sample_of
from deceive.guarding.settings import GuardSettings
from deceive.guarding.training import (
    USUAL_ROUNDS,
    architecture_for,
    are_few,
    train_guard,
    usual_rounds,
)
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded
from deceive.networks.inference import BATCH
from deceive.networks.shrinking import fitting, shrunk
from deceive.storage.card import Card
from deceive.storage.models import check_savable, load_card, load_network, save_network

SHIPPED = "resist"
"""The shipped guard, for the data it was trained on."""

GUARDS = Path("runs/guards")
"""Where guards that were trained are kept, for every later classifier of the same data."""

# The most values of training images to hold in memory, and the most images for measuring.
_VALUES, _MEASURED = 400_000_000, 10_000

# The fewest training images.
_LEAST = 500


@dataclass(frozen=True, eq=False)
class Detector:
    """Beside a guard: it tells real images from garbage, with bounds that are proved."""

    network: Classifier
    card: Card


@dataclass(frozen=True, eq=False)
class Guard:
    """A guard for some data."""

    network: Classifier | Guarded
    card: Card
    source: str
    """Where it comes from: a shipped name or a path."""
    detector: Detector | None = None


@dataclass(frozen=True)
class Choice:
    """Which guard to use."""

    given: Path | str | None
    """A shipped network or a safetensors file; None for the one that fits the data."""
    train: bool
    """Whether to train one even if one is shipped for the data."""
    kept_in: Path
    """The folder of guards that were trained."""


def guard_for(
    data: RealData,
    settings: GuardSettings,
    choice: Choice,
    *,
    task: Task,
    tell: Callable[[str], None] = quiet,
) -> Guard:
    """The guard for the data.

    Args:
        data: real images.
        settings: for one that is trained.
        choice: which one.
        task: shows progress.
        tell: called with a sentence before one is trained.

    Raises:
        InputError: when the given one doesn't fit the data, or there are no images to train one on.
    """
    if choice.given is not None:
        return _given(choice.given, data)
    if _is_shipped(choice, data):
        return _loaded(SHIPPED)
    return _trained(data, settings, choice.kept_in, task, tell)


def check_guard(data: RealData, settings: GuardSettings, choice: Choice) -> None:
    """Raise the error that `guard_for` would, before anything is written."""
    if choice.given is not None:
        _given(choice.given, data)
    elif not _is_shipped(choice, data):
        place = place_of(data, settings, choice.kept_in)
        if not place.is_file():
            check_savable(place)
            _check_enough(data)


def _is_shipped(choice: Choice, data: RealData) -> bool:
    return not choice.train and load_card(SHIPPED).data_checksum == data.checksum


def _loaded(source: Path | str) -> Guard:
    network = load_network(source)
    if not isinstance(network, Classifier | Guarded):
        raise InputError(
            "use: expected a classifier with a rubbish class, or a guarded one such as resist, got "
            f"{source!r}, which is made of several networks"
        )
    return Guard(network, load_card(source), str(source))


def _given(source: Path | str, data: RealData) -> Guard:
    """The user's choice; raises `InputError` unless it is a guard for the data."""
    try:
        guard = _loaded(source)
    except InputError as error:
        raise InputError(str(error).replace("model:", "use:", 1)) from error
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


def place_of(data: RealData, settings: GuardSettings, kept_in: Path) -> Path:
    """The file in which the guard for the data is kept."""
    extra = "" if settings.seed == 0 else f"-seed-{settings.seed}"
    return kept_in / f"{name_of(data)}-{_rounds(data, settings)}{extra}.safetensors"


def _rounds(data: RealData, settings: GuardSettings) -> int:
    return settings.rounds or usual_rounds(data.image_shape)


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
    """A guard trained now, or earlier for another classifier of the same data."""
    place = place_of(data, settings, kept_in)
    if not place.is_file():
        check_savable(place)
        so_far = place.with_suffix(".checkpoint")
        if so_far.is_file():
            tell(f"The training of a guard for these images continues from {so_far}.")
        else:
            tell(
                "A guard is trained for these images, once. That takes minutes, or half an hour "
                f"for large images. It will be kept as {place}; if you interrupt it, the same "
                "command continues."
            )
            _tell_of_few(_rounds(data, settings), architecture_for(data.image_shape), tell)
        small = small_dataset(data, settings.seed, task)
        with task("training a guard") as tick:
            network, card = train_guard(
                small, rounds=_rounds(data, settings), seed=settings.seed, tick=tick, kept=so_far
            )
        save_network(network, place, card, half=True)
        so_far.unlink(missing_ok=True)
    return _loaded(place)


def _tell_of_few(rounds: int, architecture: str, tell: Callable[[str], None]) -> None:
    if are_few(rounds, architecture):
        usual = USUAL_ROUNDS[architecture]
        tell(f"Rounds: {rounds:,}. A guard of so few may stop little; {usual:,} are usual.")


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
