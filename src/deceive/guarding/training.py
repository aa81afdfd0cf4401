"""Train a guard for any images: a mixture of what they look like, and a network in small rounds.

The network only has to refuse what the mixture lets through.
"""

import time
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Generator

from deceive.common.errors import InputError
from deceive.common.progress import Tick
from deceive.data.dataset import Dataset
from deceive.guarding.rounds import Rounds
from deceive.guarding.shapes import GENTLE, fit_mixture, scale_mixture
from deceive.judging.measures import digit_accuracy
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded
from deceive.storage import checkpoints
from deceive.storage.card import Card
from deceive.storage.models import halved
from deceive.training.recipes import build_network

SHAPED = "shaped"
"""The architecture of such a guard."""

# Seconds between two checkpoints.
_EVERY = 20.0


class _Facts(BaseModel):
    """What a checkpoint holds besides its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: int
    """Rounds played."""
    caught: float
    seconds: float
    digest: str
    """Of the tensors."""


def train_guard(
    data: Dataset, *, rounds: int, seed: int, tick: Tick, kept: Path | None = None
) -> tuple[Guarded, Card]:
    """A guard for the data, of the architecture `shaped`, with its card.

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
    network = build_network(SHAPED, data, seed=seed, rubbish_class=True).cpu().eval()
    assert isinstance(network, Guarded)
    assert isinstance(network.guard, Classifier)
    assert network.mixture is not None
    training = Rounds(data, network, rounds, Generator().manual_seed(seed))
    if kept is not None and kept.is_file():
        started -= _restored(training, kept)
    else:
        fit_mixture(network.mixture, data.train, data.validation, seed)
    saved = time.perf_counter()
    while training.number < rounds:
        training.play()
        tick(training.number, rounds, f"{training.caught:.0%} of the rubbish caught")
        if kept is not None and time.perf_counter() - saved >= _EVERY:
            saved = time.perf_counter()
            _save(training, kept, saved - started)
    network.guard.load_state_dict(training.averaged.module.state_dict())
    scale_mixture(network.mixture, data.validation, GENTLE)
    network = halved(network)
    validation, test = (
        digit_accuracy(network, split.images, split.labels, data.n_classes)
        for split in (data.validation, data.test)
    )
    return network, Card(
        architecture=SHAPED,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=data.n_classes,
        seed=seed,
        settings={"rounds": rounds},
        data_checksum=data.checksum,
        seconds=round(time.perf_counter() - started, 2),
        validation_accuracy=validation,
        test_accuracy=test,
        command=f"deceive guard MODEL --data {data.folder.name} --train --rounds {rounds}"
        f" --seed {seed}",
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
