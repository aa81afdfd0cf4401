"""Rounds that teach the two networks of `one` together: what fools the whole is rubbish to both.

In each round some candidates climb against the whole, as plain `fool` does, and both networks take
a step: candidates are rubbish, real images are their classes. Whatever else a network is asked
about, it should answer as it did before (Li and Hoiem 2018, "Learning without Forgetting").
"""

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel

from deceive.common.levels import from_levels
from deceive.data.dataset import Dataset, Split
from deceive.fooling.ascent import Ascent
from deceive.fooling.climb import climb
from deceive.fooling.fool import fool
from deceive.fooling.starts import begin
from deceive.networks.coarse_to_fine import LEVELS, CoarseToFine
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import guard_of
from deceive.networks.precision import working_dtype
from deceive.teaching.candidates import Candidates, some_of
from deceive.teaching.garbage import garbage_for
from deceive.training.averaging import following

# Candidates in all, in a round, and steps of each in a round; after so many it starts again, and
# when it fools the whole, it does so with this chance.
_KEPT, _CHOSEN, _STEPS, _LONGEST, _RESTARTED = 384, 48, 4, 60, 0.3

# The confidence at which a candidate stops, beyond that at which it counts as fooling.
_CONFIDENCE, _FOOLS = 0.999, 0.99

# The smallest step size, and how much larger one may be.
_STEP_SIZE, _LARGER = 0.01, 3

# Real images in a round, and other images about which a network keeps its answers; how many of
# those there are, for the network that draws and for the guard.
_REAL, _OTHERS, _STATES, _GARBAGE = 64, 48, 3000, 6000

# The share of candidates that are shown in one of the four finest noises, and the noise of real
# images for the guard.
_FINE, _NOISE = 0.7, 0.05

# Adam's learning rate, the rounds over which it rises, how slowly the averaged weights follow, and
# what other answers and the real images' labels weigh in the loss.
_RATE, _WARM_UP, _AVERAGING, _FORGOTTEN, _LABELS = 2e-4, 30, 0.99, 3.0, 0.5

# Validation images for calibrating on the way, and the rounds between.
_CALIBRATING, _EVERY = 1500, 40


class _Lesson(NamedTuple):
    """Real images, candidates, others."""

    images: Tensor
    labels: Tensor
    """(N,) of the real images."""
    noise: tuple[Tensor, ...] = ()
    """The noise level of each, for a network that hears it."""


class Uniting:
    """The whole, the candidates that climb against it, and what its networks said before.

    Args:
        network: taught in place.
        data: real images; some of the validation images calibrate the whole on the way.
        ascent: that of the network that draws.
        count: how many rounds there will be.
        seed: of all randomness.
    """

    def __init__(
        self, network: CoarseToFine, data: Dataset, ascent: Ascent, *, count: int, seed: int
    ) -> None:
        self.network, self.data, self.count, self.number = network, data, count, 0
        self.generator = Generator().manual_seed(seed)
        self.drawing, self.guard = network.drawing, guard_of(network.resisting)
        self.drew, self.guarded = (copy.deepcopy(each) for each in (self.drawing, self.guard))
        chosen = some_of(_CALIBRATING, len(data.validation), self.generator)
        self.held_out = Split(data.validation.images[chosen], data.validation.labels[chosen])
        network.calibrate(self.held_out.images, self.held_out.labels)
        self.states, self.sigma = self._on_the_way(ascent, seed)
        self.garbage = garbage_for(data.train.images, _GARBAGE, self.generator)
        self.candidates = Candidates.blank(_KEPT, data.image_shape)
        self.taken = torch.zeros(_KEPT, dtype=torch.int64)
        self.candidates.begin_in_noise(torch.arange(_KEPT), data.n_classes, self.generator)
        taught = [*self.drawing.parameters(), *self.guard.parameters()]
        network.requires_grad_(False)
        self.taught = [parameter.requires_grad_(True) for parameter in taught]
        self.optimiser = torch.optim.Adam(self.taught, _RATE, betas=(0.0, 0.99))
        self.averaged = AveragedModel(network, avg_fn=following(_AVERAGING)).requires_grad_(False)
        self.frozen = FrozenCopy(network, data.train.images[:1].float())
        self.fooled = 0.0

    def play(self) -> None:
        """One round: deceive, teach both, average."""
        self.number += 1
        chosen = some_of(_CHOSEN, _KEPT, self.generator)
        fools = self._climb(chosen)
        self.fooled += 0.02 * (fools.double().mean().item() - self.fooled)
        real = torch.randint(len(self.data.train), (_REAL,), generator=self.generator)
        in_noise, without = self._in_noise(real, chosen), self._without(real, chosen)
        dtype = working_dtype(torch.device("cpu"))
        with torch.autocast("cpu", dtype, dtype != torch.float32):
            loss = _loss(self.drawing, self.drew, in_noise)
            loss = loss + _loss(self.guard, self.guarded, without)
        for group in self.optimiser.param_groups:
            group["lr"] = _RATE * _rate(self.number, self.count)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.taught, 1.0)
        self.optimiser.step()
        self.averaged.update_parameters(self.network)
        self._restart(chosen, fools)
        if self.number % _EVERY == 0:
            self.network.calibrate(self.held_out.images, self.held_out.labels)

    def finished(self) -> CoarseToFine:
        """The averaged network, calibrated on all validation images."""
        network = copy.deepcopy(self.averaged.module).eval()
        assert isinstance(network, CoarseToFine)
        network.calibrate(self.data.validation.images, self.data.validation.labels)
        return network

    def _climb(self, chosen: Tensor) -> Tensor:
        """Let them climb; returns which of them fool the whole."""
        self.frozen.follow(self.network)
        size = _STEP_SIZE * _LARGER ** torch.rand((), generator=self.generator).item()
        result = fool(
            self.frozen,
            self.candidates.targets[chosen],
            confidence=_CONFIDENCE,
            start=self.candidates.images(chosen),
            steps=_STEPS,
            ascent=Ascent(step_size=size),
            chunk=_CHOSEN,
        )
        self.candidates.levels[chosen] = result.levels
        self.taken[chosen] += _STEPS
        return result.confidence >= _FOOLS

    def _restart(self, chosen: Tensor, fools: Tensor) -> None:
        lucky = torch.rand(_CHOSEN, generator=self.generator) < _RESTARTED
        ended = chosen[(self.taken[chosen] > _LONGEST) | (fools & lucky)]
        self.candidates.begin_in_noise(ended, self.data.n_classes, self.generator)
        self.taken[ended] = 0

    def _in_noise(self, real: Tensor, chosen: Tensor) -> _Lesson:
        """For the network that draws: all in noise, the others as its own schedule makes them."""
        levels, draw = torch.tensor(LEVELS), self.generator
        of_real = torch.randint(len(levels), (_REAL,), generator=draw)
        anywhere = torch.randint(len(levels), (_CHOSEN,), generator=draw)
        fine = torch.randint(len(levels) - 4, len(levels), (_CHOSEN,), generator=draw)
        of_candidates = torch.where(torch.rand(_CHOSEN, generator=draw) < _FINE, fine, anywhere)
        others = torch.randint(len(self.states), (_OTHERS,), generator=draw)
        images = self._beside(real, chosen, self.states[others])
        sigma = torch.cat([levels[of_real], levels[of_candidates], self.sigma[others]])
        noise = torch.randn(images.shape, generator=draw)
        images = images + sigma[:, None, None, None] * noise
        return _Lesson(images, self.data.train.labels[real], (sigma,))

    def _without(self, real: Tensor, chosen: Tensor) -> _Lesson:
        """For the guard: others are garbage, and real images are in a little noise."""
        others = torch.randint(len(self.garbage), (_OTHERS,), generator=self.generator)
        images = self._beside(real, chosen, from_levels(self.garbage[others]))
        sigma = _NOISE * torch.rand(_REAL, 1, 1, 1, generator=self.generator)
        images[:_REAL] += sigma * torch.randn(images[:_REAL].shape, generator=self.generator)
        return _Lesson(images, self.data.train.labels[real])

    def _beside(self, real: Tensor, chosen: Tensor, others: Tensor) -> Tensor:
        images = self.data.train.images[real].float()
        return torch.cat([images, self.candidates.images(chosen), others])

    def _on_the_way(self, ascent: Ascent, seed: int) -> tuple[Tensor, Tensor]:
        """Images on their way along the schedule (N, C, H, W), and the noise of each, (N,)."""
        assert ascent.schedule is not None
        steps = torch.randint(ascent.schedule.steps, (_STATES,), generator=self.generator)
        targets = torch.arange(_STATES) % self.data.n_classes
        images = begin("uniform", range(_STATES), self.data.image_shape, seed)
        frozen = FrozenCopy(self.drew, images[:1])
        for count in sorted({*steps.tolist()}):
            some = steps == count
            levels = climb(frozen, images[some], targets[some], ascent, steps=count, seed=seed)
            images[some] = from_levels(levels)
        return images, ascent.noise_after(steps)


def _loss(learner: nn.Module, before: nn.Module, lesson: _Lesson) -> Tensor:
    """Candidates are rubbish, real images their classes, and other answers as before."""
    logits = learner(lesson.images, *lesson.noise).float()
    with torch.no_grad():
        said = before(lesson.images, *lesson.noise).float().log_softmax(1)
    candidates = slice(_REAL, _REAL + _CHOSEN)
    kept = torch.ones(len(logits), dtype=torch.bool)
    kept[candidates] = False
    forgotten = F.kl_div(
        logits[kept].log_softmax(1), said[kept], log_target=True, reduction="batchmean"
    )
    rubbish = -logits[candidates].log_softmax(1)[:, -1].mean()
    read = F.cross_entropy(logits[:_REAL], lesson.labels)
    total: Tensor = _FORGOTTEN * forgotten + rubbish + _LABELS * read
    return total


def _rate(number: int, rounds: int) -> float:
    """The share of the learning rate in a round: it rises, and falls along a line."""
    return min(1, number / _WARM_UP) * (0.05 + 0.95 * (1 - number / rounds))
