"""Train a guard for any images.

In grey, shapes tell classes apart: a mixture knows what each class looks like, and a network learns
in small rounds to refuse what the mixture lets through. In colour, texture and parts tell them
apart, and a mixture knows little of those. There a network learns alone, in rounds of more steps,
whether an image is real, and leaves its class to the classifier.
"""

import time
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Generator

from deceive.common.errors import InputError
from deceive.common.flags import command_line, flag
from deceive.common.levels import Shape
from deceive.common.progress import Tick
from deceive.data.again import place_flags
from deceive.data.dataset import Dataset
from deceive.guarding.rounds import Rounds
from deceive.guarding.shapes import GENTLE, fit_mixture, scale_mixture
from deceive.judging.measures import digit_accuracy
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded, guard_of
from deceive.storage import checkpoints
from deceive.storage.card import Card
from deceive.storage.models import halved
from deceive.training.recipes import build_network

SHAPED, ALONE = "shaped", "guard"
"""The architectures of such guards, in grey and in colour."""

ANY = "any_class"
"""The setting of those whose candidates may deceive them as any class."""

USUAL_ROUNDS = {SHAPED: 1500, ALONE: 2000}
"""In which a guard of an architecture is trained, unless another number is asked for."""

# Less than this share of the usual rounds are few: in colour most of what attacks make passes then
# (docs/laboratory/other-images.md).
_FEW = 0.5

# Seconds between two checkpoints.
_EVERY = 20.0


class _Facts(BaseModel):
    """What a checkpoint holds besides its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: int
    """Rounds played."""
    caught: float
    """A moving average of the shares caught."""
    seconds: float
    digest: str
    """Of the tensors."""


def architecture_for(shape: Shape) -> str:
    """Of the guard of images (C, H, W)."""
    return SHAPED if shape[0] == 1 else ALONE


def usual_rounds(shape: Shape) -> int:
    """In which a guard of images (C, H, W) is trained, unless another number is asked for."""
    return USUAL_ROUNDS[architecture_for(shape)]


def are_few(rounds: int, architecture: str) -> bool:
    """Whether a guard of that architecture usually needs more rounds.

    >>> are_few(20, "shaped"), are_few(1200, "shaped"), are_few(20, "resist")
    (True, False, False)
    """
    return rounds < _FEW * USUAL_ROUNDS.get(architecture, 0)


def train_guard(
    data: Dataset, *, rounds: int, seed: int, tick: Tick, kept: Path | None = None
) -> tuple[Guarded | Classifier, Card]:
    """A guard for the data, of the architecture `shaped` or, in colour, `guard`, with its card.

    Args:
        data: its validation images scale the mixture; nothing else is done with them.
        rounds: how many rounds the network goes through.
        seed: of all randomness.
        tick: called after every round.
        kept: the checkpoint from which an interrupted training goes on, with the same result. It
            is written every 20 seconds, and stays. None to keep none.

    Raises:
        InputError: when the checkpoint is damaged, or of another training.
    """
    started = time.perf_counter()
    architecture = architecture_for(data.image_shape)
    network = build_network(architecture, data, seed=seed, rubbish_class=True).cpu().eval()
    assert isinstance(network, Guarded | Classifier)
    mixture = network.mixture if isinstance(network, Guarded) else None
    training = Rounds(data, network, rounds, Generator().manual_seed(seed))
    if kept is not None and kept.is_file():
        started -= _restored(training, kept)
    elif mixture is not None:
        fit_mixture(mixture, data.train, data.validation, seed)
    saved = time.perf_counter()
    while training.number < rounds:
        training.play()
        tick(training.number, rounds, training.news())
        if kept is not None and time.perf_counter() - saved >= _EVERY:
            saved = time.perf_counter()
            _save(training, kept, saved - started)
    guard_of(network).load_state_dict(training.averaged.module.state_dict())
    if mixture is not None:
        scale_mixture(mixture, data.validation, GENTLE)
    network = halved(network)
    settings: dict[str, int | float | str] = {"rounds": rounds}
    if mixture is None:
        settings[ANY] = 1
    return network, _card(network, data, settings, seed, time.perf_counter() - started)


def _card(
    network: Guarded | Classifier,
    data: Dataset,
    settings: dict[str, int | float | str],
    seed: int,
    seconds: float,
) -> Card:
    validation, test = (
        digit_accuracy(network, split.images, split.labels, data.n_classes)
        for split in (data.validation, data.test)
    )
    return Card(
        architecture=network.architecture,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=data.n_classes,
        seed=seed,
        settings=settings,
        data_checksum=data.checksum,
        seconds=round(seconds, 2),
        validation_accuracy=validation,
        test_accuracy=test,
        command=command_line(
            "guard",
            "MODEL",
            *place_flags(data),
            "--train",
            *flag("rounds", settings["rounds"]),
            *flag("seed", seed),
        ),
        torch=torch.__version__,
    )


def _save(training: Rounds, path: Path, seconds: float) -> None:
    tensors = training.state()
    digest = checkpoints.digest_of(tensors)
    facts = _Facts(number=training.number, caught=training.caught, seconds=seconds, digest=digest)
    checkpoints.write(path, tensors, facts)


def _restored(training: Rounds, path: Path) -> float:
    """Take the training back to its checkpoint; returns the seconds that it had taken."""
    expected = "expected the checkpoint of this guard's training (delete it to start again)"
    facts, tensors = checkpoints.read(path, _Facts, expected)
    if facts.digest != checkpoints.digest_of(tensors):
        raise InputError(f"{path}: {expected}; its tensors are not those that were saved")
    try:
        training.restore(tensors)
    except (KeyError, RuntimeError) as error:
        raise InputError(f"{path}: {expected}; {error}") from error
    training.number, training.caught = facts.number, facts.caught
    return facts.seconds
