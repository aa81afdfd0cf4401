"""Rounds that teach the networks of `one` together: what fools the whole is rubbish to its parts.

In each round some candidates climb against the whole, as plain `fool` does. They are rubbish to the
network that is asked in noise, which begins as a copy of the one that draws, and to the guard of
the one that resists. About anything else both should answer as before (Li and Hoiem 2018, "Learning
without Forgetting"): about images on their way along the schedule, and about garbage.
"""

import copy
import time
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from deceive.common.levels import from_levels
from deceive.data.dataset import Dataset, Split
from deceive.fooling.ascent import Ascent
from deceive.fooling.climb import climb
from deceive.fooling.fool import fool
from deceive.fooling.objectives import log_odds
from deceive.fooling.starts import begin
from deceive.networks.building import PARTS
from deceive.networks.coarse_to_fine import LEVELS, CoarseToFine
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Network, guard_of
from deceive.storage.kinds import Row
from deceive.storage.models import halved, load_card, load_network
from deceive.teaching.candidates import Candidates, some_of
from deceive.teaching.game import Game, unless_unusable
from deceive.teaching.garbage import garbage_for
from deceive.teaching.kind import logits_in, smooth
from deceive.teaching.learner import Learner
from deceive.teaching.settings import SURE, UnitingSettings
from deceive.teaching.vitals import Vitals, recent, signs_of
from deceive.training.recipes import build_network

# The confidence of a candidate that deceives, and how much the share of those is remembered.
_FOOLS, _MEMORY = 0.99, 0.98

# The smallest step size, and how much larger one may be.
_STEP_SIZE, _LARGER = 0.01, 3

# Real images in a round for each network, and other images about which it keeps its answers; how
# many of those there are, for the network that is asked in noise and for the guard.
_REAL, _OTHERS, _STATES, _GARBAGE = 64, 48, 3000, 6000

# The share of candidates that are shown in one of the finest noises, and how many those are.
_FINE, _FINEST = 0.7, 4

# The noise of real images for the guard.
_NOISE = 0.05

# What other answers and the real images' labels weigh in the loss.
_FORGOTTEN, _LABELS = 3.0, 0.5

# Validation images for calibrating on the way, and the rounds between.
_CALIBRATING, _EVERY = 1500, 40


class _Lesson(NamedTuple):
    """Real images, candidates, others; in their noise."""

    images: Tensor
    labels: Tensor
    """(N,) of the real images."""
    targets: Tensor
    """(P,) of the candidates."""
    were_real: Tensor
    """(P,), which of the candidates began as real images of other classes."""
    told: tuple[Tensor, ...] = ()
    """The noise level of each, for a network that hears it."""


class Uniting(Game):
    """The whole, and the candidates that climb against it."""

    settings: UnitingSettings

    def __init__(self, data: Dataset, settings: UnitingSettings) -> None:
        super().__init__(data, settings)
        self.whole, self.ascent = put_together(data, settings)
        self.network = self.whole
        self.in_noise, self.guard = self.whole.in_noise, guard_of(self.whole)
        self.guarded = copy.deepcopy(self.guard).requires_grad_(False)
        taught = nn.ModuleDict({"in_noise": self.in_noise, "guard": self.guard})
        self.learner = Learner(
            taught.requires_grad_(True),
            rate=settings.rate,
            averaging=settings.averaging,
            rounds=settings.rounds,
        )
        alike = Generator().manual_seed(settings.seed)  # in all processes
        chosen = some_of(_CALIBRATING, len(data.validation), alike)
        self.held_out = Split(data.validation.images[chosen], data.validation.labels[chosen])
        self.states, self.sigma = self._on_the_way(self.ascent, alike)
        self.garbage = garbage_for(self.data.train.images, _GARBAGE, alike)
        count = self.here.count
        self.chosen = settings.candidates // count
        self.candidates = Candidates.blank(settings.kept // count, data.image_shape)
        self.taken = torch.zeros(len(self.candidates), dtype=torch.int64)
        self.were_real = torch.zeros(len(self.candidates), dtype=torch.bool)
        self._begin(torch.arange(len(self.candidates)))
        self.fooled = torch.zeros(())
        self.vitals = Vitals()
        self.frozen: FrozenCopy | None = None

    def begin(self) -> None:
        """Calibrate the whole."""
        started = time.perf_counter()
        self.whole.calibrate(self.held_out.images, self.held_out.labels)
        self.seconds += time.perf_counter() - started

    def play(self) -> None:
        """Deceive the whole, teach both networks, average."""
        started = time.perf_counter()
        self.number += 1
        chosen = some_of(self.chosen, len(self.candidates), self.generator)
        fools = unless_unusable(lambda: self._climb(chosen))
        self.learner.optimiser.zero_grad()
        signs = self._teach(self.in_noise, self.whole.drawing, self._lesson_in_noise(chosen))
        self._teach(self.guard, self.guarded, self._lesson_without(chosen))
        self.learner.step(signs)
        self.fooled.lerp_(fools.float().mean(), 1 - _MEMORY)
        lucky = torch.rand(len(chosen), generator=self.generator) < self.settings.restarted
        self._begin(chosen[(self.taken[chosen] > self.settings.longest) | (fools & lucky)])
        self.vitals.watch(signs.cpu(), self.number, lambda is_caught: None)
        if self.number % _EVERY == 0:
            self.whole.calibrate(self.held_out.images, self.held_out.labels)
        self.seconds += time.perf_counter() - started

    def _begin(self, which: Tensor) -> None:
        """Restart some of the candidates."""
        self.were_real[which] = self.candidates.begin_anywhere(
            which, self.settings.starts, self.data.train, self.data.n_classes, self.generator
        )
        self.taken[which] = 0

    def _climb(self, chosen: Tensor) -> Tensor:
        """Let them climb against the whole; returns which of them fool it."""
        s = self.settings
        if self.frozen is None:
            self.frozen = FrozenCopy(self.whole, self.candidates.images(chosen[:1]))
        else:
            self.frozen.follow(self.whole)
        size = _STEP_SIZE * _LARGER ** torch.rand((), generator=self.generator).item()
        result = fool(
            self.frozen,
            self.candidates.targets[chosen],
            confidence=s.confidence,
            start=self.candidates.images(chosen),
            steps=s.steps,
            ascent=Ascent(step_size=size),
            chunk=len(chosen),
        )
        self.candidates.levels[chosen] = result.levels
        self.taken[chosen] += s.steps
        return result.confidence >= _FOOLS

    def _lesson_in_noise(self, chosen: Tensor) -> _Lesson:
        """All in noise: candidates mostly in little, others as the schedule has them."""
        levels, draw = torch.tensor(LEVELS), self.generator
        anywhere = torch.randint(len(levels), (_REAL + len(chosen),), generator=draw)
        fine = torch.randint(len(levels) - _FINEST, len(levels), anywhere.shape, generator=draw)
        is_fine = torch.rand(anywhere.shape, generator=draw) < _FINE
        is_fine[:_REAL] = False
        others = torch.randint(len(self.states), (_OTHERS,), generator=draw)
        sigma = torch.cat([levels[torch.where(is_fine, fine, anywhere)], self.sigma[others]])
        return self._lesson(chosen, self.states[others], sigma, sigma.to(self.here.device))

    def _lesson_without(self, chosen: Tensor) -> _Lesson:
        """Others are garbage, and only real images are in a little noise."""
        others = torch.randint(len(self.garbage), (_OTHERS,), generator=self.generator)
        sigma = torch.zeros(_REAL + len(chosen) + _OTHERS)
        sigma[:_REAL] = _NOISE * torch.rand(_REAL, generator=self.generator)
        return self._lesson(chosen, from_levels(self.garbage[others]), sigma)

    def _lesson(self, chosen: Tensor, others: Tensor, sigma: Tensor, *told: Tensor) -> _Lesson:
        real = torch.randint(len(self.data.train), (_REAL,), generator=self.generator)
        images = self.data.train.images[real].float()
        images = torch.cat([images, self.candidates.images(chosen), others])
        noise = torch.randn(images.shape, generator=self.generator)
        images = images + sigma[:, None, None, None] * noise
        device = self.here.device
        labels, targets = self.data.train.labels[real], self.candidates.targets[chosen]
        return _Lesson(
            images.to(device),
            labels.to(device),
            targets.to(device),
            self.were_real[chosen].to(device),
            told,
        )

    def _teach(self, learner: nn.Module, before: nn.Module, lesson: _Lesson) -> Tensor:
        """The gradient: candidates are rubbish, and all other answers as before; vital signs.

        Of a candidate that began as a real image it only learns that it isn't its target.
        """
        logits, real = logits_in(learner, lesson.images, *lesson.told), slice(_REAL)
        candidates = slice(_REAL, len(logits) - _OTHERS)
        kept = torch.ones(len(logits), dtype=torch.bool)
        kept[candidates] = False
        with torch.no_grad():
            said = logits_in(before, lesson.images[kept], *(told[kept] for told in lesson.told))
        forgotten = F.kl_div(
            logits[kept].log_softmax(1), said.log_softmax(1), log_target=True, reduction="batchmean"
        )
        not_target = F.softplus(log_odds(logits[candidates], lesson.targets))
        is_rubbish = -logits[candidates].log_softmax(1)[:, -1]
        rubbish = torch.where(lesson.were_real, not_target, is_rubbish).mean()
        read = F.cross_entropy(logits[real], lesson.labels)
        loss = _FORGOTTEN * forgotten + self.settings.rubbish_weight * rubbish + _LABELS * read
        loss.backward()  # type: ignore[no-untyped-call]
        if lesson.told:
            sigma = lesson.told[0][real]
            smooth(learner, lesson.images[real], lesson.labels, sigma, self.settings, self.number)
        n = min(_REAL, len(logits) - _OTHERS - _REAL)
        return signs_of(logits[_REAL - n : _REAL + n], lesson.labels[-n:], loss, n)

    def _on_the_way(self, ascent: Ascent, generator: Generator) -> tuple[Tensor, Tensor]:
        """Images on their way along the schedule (N, C, H, W), and the noise of each, (N,)."""
        assert ascent.schedule is not None
        steps = torch.randint(ascent.schedule.steps, (_STATES,), generator=generator)
        targets = torch.arange(_STATES) % self.data.n_classes
        seed = self.settings.seed
        images = begin("uniform", range(_STATES), self.data.image_shape, seed)
        frozen = FrozenCopy(self.whole.drawing, images[:1])
        for count in sorted({*steps.tolist()} - {0}):
            some = steps == count
            levels = climb(frozen, images[some], targets[some], ascent, steps=count, seed=seed)
            images[some] = from_levels(levels)
        return images, ascent.noise_after(steps)

    def best(self) -> CoarseToFine:
        """The whole with the averaged networks, in half precision, calibrated on validation."""
        network = copy.deepcopy(self.whole)
        averaged = cast(nn.ModuleDict, self.learner.averaged)
        network.in_noise.load_state_dict(averaged["in_noise"].state_dict())
        guard_of(network).load_state_dict(averaged["guard"].state_dict())
        network = halved(network)
        network.strict = True
        held_out, share = self.data.validation, self.settings.digits_sure
        network.calibrate(held_out.images, held_out.labels, keep=share, confidence=SURE)
        return halved(network)

    def tally(self, network: Network) -> Row:
        """How often the whole was fooled recently, and what the network asked in noise caught."""
        signs = self.vitals.after(self.number)
        return {
            "recently_fooled": self._recently_fooled(),
            "rubbish_caught": signs.is_caught,
            "digits_read_in_noise": signs.is_read,
        }

    def news(self) -> str:
        """The share of candidates that fool the whole; nothing before the first round."""
        share = self._recently_fooled()
        return "" if share is None else f"{share:.0%} of the candidates fool it"

    def _recently_fooled(self) -> float | None:
        """The share of recent candidates that fooled the whole; None before the first round."""
        return recent(self.fooled.item(), _MEMORY, self.number)

    def shared(self) -> dict[str, Tensor]:
        """What learns, the whole's calibration, and the signs."""
        signs = {"vitals": self.vitals.shares, "fooled": self.fooled}
        scale = {name: getattr(self.whole, name) for name in ("usual", "spread", "budget")}
        return self.learner.state() | scale | signs

    def own(self) -> dict[str, Tensor]:
        """The generator, the candidates, and how far they are."""
        candidates = {f"candidates.{k}": v for k, v in self.candidates.tensors().items()}
        return {
            "generator": self.generator.get_state(),
            "candidates.taken": self.taken,
        } | candidates

    def slow_down(self, slowed: float, rollbacks: int) -> None:
        """Continue with another factor of the learning rate, after this many rollbacks."""
        super().slow_down(slowed, rollbacks)
        self.learner.go_on(self.number, slowed)

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the tensors of `shared` and `own`."""
        with torch.no_grad():
            for name, tensor in (self.shared() | self.own()).items():
                tensor.copy_(state[name])
        self.learner.go_on(self.number, self.slowed)


def put_together(data: Dataset, settings: UnitingSettings) -> tuple[CoarseToFine, Ascent]:
    """The networks as one, not calibrated, and the ascent that draws. Check the settings first.

    It isn't `strict` in the rounds: if specks counted there, the images would come out worse
    (docs/laboratory/one.md).
    """
    network = build_network(settings.network, data, seed=settings.seed, rubbish_class=True)
    ascent = load_card(settings.drawing).ascent
    assert isinstance(network, CoarseToFine)
    assert ascent is not None
    for name in PARTS:
        taught = load_network(getattr(settings, name))
        getattr(network, name).load_state_dict(taught.state_dict())
    network.in_noise.load_state_dict(network.drawing.state_dict())
    network.strict = False
    return network.eval().requires_grad_(False), ascent
