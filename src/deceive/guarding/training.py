"""Train a guard for any images: a mixture of what they look like, and a network in small rounds.

In each round some candidates climb a few steps along the log-odds of both together, and the network
takes a step: real images are their classes, candidates and garbage are rubbish. It only has to
refuse what the mixture lets through.
"""

import math
import time
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel

from deceive.common.levels import from_levels
from deceive.common.progress import Tick
from deceive.data.dataset import Dataset
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.objectives import log_odds
from deceive.fooling.rules import RULES
from deceive.guarding.rubbish import garbage_for
from deceive.guarding.shapes import GENTLE, fit_mixture, scale_mixture
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Guarded
from deceive.networks.inference import logits_of
from deceive.networks.precision import working_dtype
from deceive.storage.card import Card
from deceive.storage.models import halved
from deceive.teaching.candidates import Candidates, some_of
from deceive.training.augmenting import augment
from deceive.training.recipes import build_network
from deceive.training.settings import TrainingSettings

SHAPED = "shaped"
"""The architecture of such a guard."""

# Candidates in a round, candidates in all, steps of each in a round; garbage images in a round, and
# in all.
_CHOSEN, _KEPT, _STEPS, _GARBAGE, _HEAP = 64, 1000, 4, 64, 16_000

# The share of a round's candidates that restart, the share of these that begin as a real image of
# another class, and the confidence at which a candidate stops.
_RESTARTED, _REAL, _CONFIDENCE = 0.1, 0.3, 0.9

# The smallest step size, and how much larger one may be.
_STEP_SIZE, _LARGER = 0.005, 30

# Adam's learning rate, the rounds over which it rises, how slowly the averaged weights follow, and
# the weight of garbage in the loss. Adam keeps no first moment: what deceived the network a few
# rounds ago no longer does.
_RATE, _WARM_UP, _AVERAGING, _GARBAGE_WEIGHT = 1e-3, 50, 0.99, 0.5

# Half of the real images are moved a little, and all get noise of up to this.
_LIGHT = TrainingSettings(rotation=8, scaling=0.1, translation=2, elasticity=0)
_NOISE = 0.05


class _Lesson(NamedTuple):
    """Real images, as many candidates, and garbage."""

    images: Tensor
    labels: Tensor


class _Rounds:
    """A network, and the candidates that try to deceive it."""

    def __init__(self, data: Dataset, network: Guarded, rounds: int, generator: Generator) -> None:
        assert isinstance(network.guard, Classifier)
        self.data, self.network, self.guard = data, network, network.guard
        self.rounds, self.generator = rounds, generator
        self.heap = garbage_for(data.train.images, _HEAP, generator)
        self.candidates = Candidates.blank(_KEPT, data.image_shape)
        self.were_real = torch.zeros(_KEPT, dtype=torch.bool)
        self._restart(torch.arange(_KEPT))
        self.averaged = AveragedModel(self.guard, avg_fn=_followed).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.guard.parameters(), _RATE, betas=(0.0, 0.99))
        self.frozen = FrozenCopy(network, data.train.images[:1].float())

    def play(self, number: int) -> float:
        """Deceive, teach, average; returns the share of candidates that are caught."""
        chosen = some_of(_CHOSEN, _KEPT, self.generator)
        anew = torch.rand(_CHOSEN, generator=self.generator) < _RESTARTED
        self._restart(chosen[anew])
        self._climb(chosen, number)
        lesson = self._lesson(chosen)
        dtype = working_dtype(torch.device("cpu"))
        with torch.autocast("cpu", dtype, dtype != torch.float32):
            logits = self.guard(lesson.images)
        loss = self._loss(logits.float(), lesson.labels, chosen)
        for group in self.optimiser.param_groups:
            group["lr"] = _RATE * _rate(number, self.rounds)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.guard.parameters(), 1.0)
        self.optimiser.step()
        self.averaged.update_parameters(self.guard)
        caught = logits[_CHOSEN : 2 * _CHOSEN].argmax(1) == self.data.n_classes
        return float(caught.double().mean())

    def _restart(self, which: Tensor) -> None:
        """Let some begin as garbage, or as a real image of another class than their target."""
        n, real = len(which), self.data.train
        garbage = self.heap[torch.randint(len(self.heap), (n,), generator=self.generator)]
        source = torch.randint(len(real), (n,), generator=self.generator)
        others = torch.randint(1, self.data.n_classes, (n,), generator=self.generator)
        begun = torch.rand(n, generator=self.generator) < _REAL
        levels = (real.images[source].float() * 255).round().to(torch.uint8)
        self.candidates.levels[which] = torch.where(begun[:, None, None, None], levels, garbage)
        self.candidates.targets[which] = (real.labels[source] + others) % self.data.n_classes
        self.were_real[which] = begun

    def _climb(self, chosen: Tensor, number: int) -> None:
        """Let them climb, by each rule in turn, in steps of any size."""
        self.frozen.follow(self.network)
        size = _STEP_SIZE * _LARGER ** torch.rand((), generator=self.generator).item()
        self.candidates.levels[chosen] = fool(
            self.frozen,
            self.candidates.targets[chosen],
            confidence=_CONFIDENCE,
            start=self.candidates.images(chosen),
            steps=_STEPS,
            ascent=Ascent(rule=list(RULES)[number % len(RULES)], step_size=size),  # type: ignore[arg-type]
            chunk=_CHOSEN,
        ).levels

    def _lesson(self, chosen: Tensor) -> _Lesson:
        real, n_classes = self.data.train, self.data.n_classes
        which = torch.randint(len(real), (_CHOSEN,), generator=self.generator)
        images = real.images[which].float()
        images[: _CHOSEN // 2] = augment(images[: _CHOSEN // 2], _LIGHT, self.generator)
        sigma = _NOISE * torch.rand(_CHOSEN, 1, 1, 1, generator=self.generator)
        images += sigma * torch.randn(images.shape, generator=self.generator)
        garbage = self.heap[torch.randint(len(self.heap), (_GARBAGE,), generator=self.generator)]
        return _Lesson(
            torch.cat([images, self.candidates.images(chosen), from_levels(garbage)]),
            torch.cat([real.labels[which], torch.full((_CHOSEN + _GARBAGE,), n_classes)]),
        )

    def _loss(self, logits: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
        """Cross-entropy; for candidates that were real images, -log(1 - p(target)) instead."""
        wrong = F.cross_entropy(logits, labels, reduction="none")
        of_candidates = slice(_CHOSEN, 2 * _CHOSEN)
        not_target = F.softplus(log_odds(logits[of_candidates], self.candidates.targets[chosen]))
        candidates = torch.where(self.were_real[chosen], not_target, wrong[of_candidates])
        garbage = wrong[2 * _CHOSEN :]
        return wrong[:_CHOSEN].mean() + candidates.mean() + _GARBAGE_WEIGHT * garbage.mean()


def train_guard(data: Dataset, *, rounds: int, seed: int, tick: Tick) -> tuple[Guarded, Card]:
    """A guard for the data, of the architecture `shaped`, with its card.

    Args:
        data: its validation images scale the mixture; nothing else is done with them.
        rounds: how many rounds the network goes through.
        seed: of all randomness.
        tick: called after every round.
    """
    started = time.perf_counter()
    network = build_network(SHAPED, data, seed=seed, rubbish_class=True).cpu().eval()
    assert isinstance(network, Guarded)
    assert network.mixture is not None
    assert isinstance(network.guard, Classifier)
    fit_mixture(network.mixture, data.train, data.validation, seed)
    game, caught = _Rounds(data, network, rounds, Generator().manual_seed(seed)), 0.5
    for number in range(1, rounds + 1):
        caught += 0.02 * (game.play(number) - caught)
        tick(number, rounds, f"{caught:.0%} of the rubbish caught")
    network.guard.load_state_dict(game.averaged.module.state_dict())
    scale_mixture(network.mixture, data.validation, GENTLE)
    network = halved(network)
    return network, Card(
        architecture=SHAPED,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=data.n_classes,
        seed=seed,
        settings={"rounds": rounds},
        data_checksum=data.checksum,
        seconds=round(time.perf_counter() - started, 2),
        validation_accuracy=_reads(network, data.validation.images, data.validation.labels),
        test_accuracy=_reads(network, data.test.images, data.test.labels),
        command=f"deceive guard MODEL --data {data.folder.name} --train --rounds {rounds}"
        f" --seed {seed}",
        torch=torch.__version__,
    )


def _reads(network: Guarded, images: Tensor, labels: Tensor) -> float:
    """The share that it reads correctly, rubbish left out."""
    right: Tensor = logits_of(network, images)[:, :-1].argmax(1) == labels
    return right.double().mean().item()


def _followed(average: Tensor, value: Tensor, number: Tensor | int) -> Tensor:
    """The average of weights, which follows them quickly at first, then slowly."""
    return average.lerp(value, max(1 - _AVERAGING, 9 / (9 + int(number))))


def _rate(number: int, rounds: int) -> float:
    """The share of the learning rate in a round: it rises, and falls along a cosine."""
    fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * number / rounds))
    return fall * min(1, number / _WARM_UP)
