"""The rounds in which a guard's network learns to tell real images from what deceives it.

In each round some candidates climb a few steps, and the network takes a step: real images are their
classes, candidates and garbage are rubbish. Beside a mixture, candidates climb along the log-odds
of both together, for a class each. Without one they climb along the network's log-odds that the
image is real, whatever its class.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel

from deceive.common.levels import from_levels
from deceive.data.dataset import Dataset
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.objectives import log_odds
from deceive.fooling.rules import IN_TURN
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Guarded, guard_of
from deceive.networks.precision import working_dtype
from deceive.teaching.candidates import Candidates, some_of
from deceive.teaching.garbage import garbage_for
from deceive.teaching.vitals import recent
from deceive.training.augmenting import augment
from deceive.training.averaging import following
from deceive.training.settings import TrainingSettings

# Candidates in a round, candidates in all; garbage images in a round, and in all.
_CHOSEN, _KEPT, _GARBAGE, _HEAP = 64, 1000, 64, 16_000

# The share of a round's candidates that restart, the share of these that begin as a real image of
# another class, and the confidence at which a candidate stops.
_RESTARTED, _REAL, _CONFIDENCE = 0.1, 0.3, 0.9


class _Game(NamedTuple):
    """What differs between the two kinds of guards."""

    steps: int
    """Of a candidate in a round."""
    noise: float
    """Real images get noise of up to this."""


_BESIDE_MIXTURE, _ALONE = _Game(4, 0.05), _Game(10, 0.03)

# The smallest step size, and how much larger one may be.
_STEP_SIZE, _LARGER = 0.005, 30

# Adam's learning rate, the rounds over which it rises, how slowly the averaged weights follow, and
# the weight of garbage in the loss. Adam keeps no first moment: what deceived the network a few
# rounds ago no longer does.
_RATE, _WARM_UP, _AVERAGING, _GARBAGE_WEIGHT = 1e-3, 50, 0.99, 0.5

# How much the share of candidates caught is remembered.
_MEMORY = 0.98

# Half of the real images are moved a little.
_LIGHT = TrainingSettings(rotation=8, scaling=0.1, translation=2, elasticity=0)


class _Real(nn.Module):
    """Logits (N, 2) of any class and of rubbish, of a network's logits (N, K + 1)."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits = self.network(images)
        return torch.cat([logits[:, :-1].logsumexp(1, keepdim=True), logits[:, -1:]], 1)


class _Lesson(NamedTuple):
    """Real images, as many candidates, and garbage."""

    images: Tensor
    labels: Tensor


class Rounds:
    """A guard's network, the candidates that try to deceive it, and how far they have come.

    Args:
        data: real images to learn.
        network: a guard of the architecture `shaped`, whose mixture is fitted; its network learns.
            Or a `Classifier`, which learns alone.
        count: how many rounds there will be.
        generator: draws everything.
    """

    def __init__(
        self, data: Dataset, network: Guarded | Classifier, count: int, generator: Generator
    ) -> None:
        self.data, self.network, self.guard = data, network, guard_of(network)
        self.alone = isinstance(network, Classifier)
        self.game = _ALONE if self.alone else _BESIDE_MIXTURE
        self.count, self.generator = count, generator
        self.number, self.caught = 0, 0.0
        self.heap = garbage_for(data.train.images, _HEAP, generator)
        self.candidates = Candidates.blank(_KEPT, data.image_shape)
        self.were_real = torch.zeros(_KEPT, dtype=torch.bool)
        self._restart(torch.arange(_KEPT))
        self.averaged = AveragedModel(
            self.guard, multi_avg_fn=following(_AVERAGING)
        ).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.guard.parameters(), _RATE, betas=(0.0, 0.99))
        self.climbed = _Real(network) if isinstance(network, Classifier) else network
        self.frozen = FrozenCopy(self.climbed, data.train.images[:1].float())

    def play(self) -> None:
        """One round: deceive, teach, average."""
        self.number += 1
        chosen = some_of(_CHOSEN, _KEPT, self.generator)
        anew = torch.rand(_CHOSEN, generator=self.generator) < _RESTARTED
        self._restart(chosen[anew])
        self._climb(chosen)
        lesson = self._lesson(chosen)
        dtype = working_dtype(torch.device("cpu"))
        with torch.autocast("cpu", dtype, dtype != torch.float32):
            logits = self.guard(lesson.images)
        loss = self._loss(logits.float(), lesson.labels, chosen)
        for group in self.optimiser.param_groups:
            group["lr"] = _RATE * self._rate()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.guard.parameters(), 1.0)
        self.optimiser.step()
        self.averaged.update_parameters(self.guard)
        of_candidates = logits.detach()[_CHOSEN : 2 * _CHOSEN].float()
        caught = of_candidates[:, -1] > of_candidates[:, :-1].logsumexp(1)
        self.caught += (1 - _MEMORY) * (caught.double().mean().item() - self.caught)

    def news(self) -> str:
        """The share of recent candidates that were caught; nothing before the first round."""
        share = recent(self.caught, _MEMORY, self.number)
        return "" if share is None else f"{share:.0%} of the rubbish caught"

    def state(self) -> dict[str, Tensor]:
        """Everything that the next round depends on, by name."""
        parts: dict[str, Mapping[str, Tensor]] = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "candidates": self.candidates.tensors() | {"were_real": self.were_real},
            "generator": {"state": self.generator.get_state()},
        }
        for number, memory in self.optimiser.state_dict()["state"].items():
            parts[f"optimiser.{number}"] = memory
        return {f"{part}.{name}": value for part in parts for name, value in parts[part].items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go back to where `state` was called.

        Raises `KeyError` or `RuntimeError` when the state is another network's.
        """

        def part(name: str) -> dict[str, Tensor]:
            prefix = f"{name}."
            return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

        self.network.load_state_dict(part("network"))
        self.averaged.load_state_dict(part("averaged"))
        for name, tensor in part("candidates").items():
            own = {**self.candidates.tensors(), "were_real": self.were_real}[name]
            own.copy_(tensor)
        for number, parameter in enumerate(self.guard.parameters()):
            self.optimiser.state[parameter] = part(f"optimiser.{number}")
        self.generator.set_state(state["generator.state"].clone())

    def _rate(self) -> float:
        """The share of the learning rate: it rises and, beside a mixture, falls along a cosine."""
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * self.number / self.count))
        return (1 if self.alone else fall) * min(1, self.number / _WARM_UP)

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

    def _climb(self, chosen: Tensor) -> None:
        """Let them climb, by each rule in turn, in steps of any size."""
        self.frozen.follow(self.climbed)
        size = _STEP_SIZE * _LARGER ** torch.rand((), generator=self.generator).item()
        targets = self.candidates.targets[chosen]
        self.candidates.levels[chosen] = fool(
            self.frozen,
            torch.zeros_like(targets) if self.alone else targets,
            confidence=_CONFIDENCE,
            start=self.candidates.images(chosen),
            steps=self.game.steps,
            ascent=Ascent(rule=IN_TURN[self.number % len(IN_TURN)], step_size=size),
            chunk=_CHOSEN,
        ).levels

    def _lesson(self, chosen: Tensor) -> _Lesson:
        real, n_classes = self.data.train, self.data.n_classes
        which = torch.randint(len(real), (_CHOSEN,), generator=self.generator)
        images = real.images[which].float()
        images[: _CHOSEN // 2] = augment(images[: _CHOSEN // 2], _LIGHT, self.generator)
        sigma = self.game.noise * torch.rand(_CHOSEN, 1, 1, 1, generator=self.generator)
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
