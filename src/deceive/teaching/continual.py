"""Tiny rounds: a few steps for some of the candidates, then one step for the network."""

import math
from abc import abstractmethod
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from deceive.common import processes
from deceive.common.errors import InputError
from deceive.common.levels import from_levels
from deceive.data.loading import Dataset
from deceive.fooling.fool import fool
from deceive.fooling.objectives import log_odds
from deceive.fooling.rules import Ascent
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Guarded, Network, guard_of
from deceive.networks.precision import working_dtype
from deceive.storage.models import halved
from deceive.teaching.game import DivergedError, Game
from deceive.teaching.settings import ContinualSettings
from deceive.training.recipes import build_network
from deceive.training.rubbish import CandidateSet

# In every so many rounds the gradient is penalised.
_PENALISED = 4

# Vital signs are averages over the last hundred rounds or so. Early ones are always alarming.
_MEMORY, PATIENCE = 0.99, 1000
_READ_TOO_SELDOM = 0.05


class Lesson(NamedTuple):
    """What a network is shown at once: N digits, then N images of rubbish, then perhaps others."""

    images: Tensor
    """(2N + M, C, H, W), without their noise."""
    labels: Tensor
    """(2N + M,) int64."""
    sigma: Tensor
    """(2N + M,), standard deviations of the noise that is added to each."""


class Continual(Game):
    """One network all the way, its average, and a rubbish set that is kept."""

    settings: ContinualSettings
    averaged: Network
    confidence: float | None
    """Where an image is left; None if it takes all its steps."""

    def __init__(self, data: Dataset, settings: ContinualSettings) -> None:
        super().__init__(data, settings)
        self.chosen = settings.candidates // self.here.count
        self.network, self.averaged = (
            build_network(settings.network, data, seed=settings.seed, rubbish_class=True)
            .to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            .eval()
            for _ in range(2)
        )
        self.averaged.requires_grad_(False)
        # What stands still while images change; there from the first round on, as its readers are.
        self.frozen: FrozenCopy | None = None
        self.parameters: list[Tensor] = [*guard_of(self.network).parameters()]
        # Without a first moment: what deceived the network a few rounds ago no longer does.
        self.optimiser = torch.optim.Adam(
            self.parameters, settings.learning_rate, betas=(0.0, 0.99), fused=True
        )
        for parameter in self.parameters:  # so that there is a state to load into
            self.optimiser.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.candidates = self._first_candidates(settings.kept // self.here.count)
        self.vitals = torch.tensor([0.5, 0.5])  # share of rubbish caught, of digits read

    @abstractmethod
    def _first_candidates(self, count: int) -> CandidateSet:
        """The rubbish set before the first round."""

    @abstractmethod
    def _choose(self) -> Tensor:
        """Indices (N,) of the candidates of this round; those whose time is up begin anew."""

    @abstractmethod
    def _ascent(self) -> Ascent:
        """How they climb in this round."""

    @abstractmethod
    def _lesson(self, rubbish: Tensor) -> Lesson:
        """Those candidates, as they are now, with as many digits."""

    @abstractmethod
    def _loss(self, logits: Tensor, labels: Tensor, rubbish: Tensor) -> Tensor:
        """How wrong the network is about a lesson, a scalar."""

    def best(self) -> Network:
        return halved(self.averaged)

    def deceive(self) -> Tensor:
        s, chosen = self.settings, self._choose()
        start = from_levels(self.candidates.levels[chosen])
        trouble = None
        try:
            if self.frozen is None:
                self.frozen = FrozenCopy(self.network, start[:1])
            else:
                self.frozen.follow(self.network)
            with processes.alone():  # with candidates of its own
                result = fool(
                    self.frozen,
                    self.candidates.targets[chosen],
                    confidence=self.confidence,
                    start=start,
                    begun=self.candidates.begun[chosen],
                    steps=s.steps,
                    ascent=self._ascent(),
                    seed=int(torch.randint(2**60, (), generator=self.generator)),
                    chunk=self.chosen,
                    measured=self.confidence is not None,
                )
        except InputError as error:  # all else that could be wrong with it was looked at before
            trouble = str(error)
        if anywhere := processes.first_trouble(trouble):
            raise DivergedError(anywhere)
        self.candidates.put(chosen, result)
        return chosen

    def teach(self, rubbish: Tensor) -> None:
        s, n = self.settings, len(rubbish)
        lesson = self._lesson(rubbish)
        noise = torch.randn(lesson.images.shape, generator=self.generator)
        images, labels, sigma = (
            each.to(self.here.device)
            for each in (
                lesson.images + noise * lesson.sigma[:, None, None, None],
                lesson.labels,
                lesson.sigma,
            )
        )
        logits = self._seen(images, sigma)
        loss = self._loss(logits, labels, rubbish)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if s.smoothness and self.number % _PENALISED == 0:
            self._penalise(images[:n], labels[:n], sigma[:n])
        right = (logits.detach().argmax(1) == labels).float()
        vitals = torch.stack([right[n : 2 * n].mean(), right[:n].mean(), loss.detach()])
        processes.average_([*(cast(Tensor, p.grad) for p in self.parameters), vitals])
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.optimiser.step()
        follow = max(1 - s.averaging, 9 / (9 + self.number))
        averaged: list[Tensor] = [*guard_of(self.averaged).parameters()]
        with torch.no_grad():
            torch._foreach_lerp_(averaged, self.parameters, follow)

        vitals = vitals.cpu()
        self.vitals.lerp_(vitals[:2], 1 - _MEMORY)
        self._look_after_itself(vitals[2].item())

    def _seen(self, images: Tensor, sigma: Tensor) -> Tensor:
        """Logits in float32, worked out in the quickest type."""
        dtype = working_dtype(images.device)
        with torch.autocast(images.device.type, dtype, dtype != torch.float32):
            logits: Tensor = self.network(images, sigma)
        return logits.float()

    def _penalise(self, images: Tensor, labels: Tensor, sigma: Tensor) -> None:
        """Add the gradient of the penalty: ½ γ E[(σ² + 0.01) |∇ objective|²] over digits in noise.

        Times σ² it is the size of the step that would be taken, not of a slope that has to be the
        steeper the less noise there is. The whole penalty is added in every so many rounds alone,
        times as many (lazy, as Karras et al. 2020).
        """
        images = images.detach().requires_grad_()
        logits = self._seen(images, sigma)
        score = log_odds(logits, labels)
        (gradient,) = torch.autograd.grad(score.sum(), images, create_graph=True)
        steps = gradient.square().sum((1, 2, 3)) * (sigma.square() + 0.01)
        penalty = self.settings.smoothness / 2 * steps.mean()
        (_PENALISED * penalty).backward()  # type: ignore[no-untyped-call]

    def _rate(self) -> float:
        share = self.number / self.settings.rounds
        fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share))
        return self.settings.learning_rate * self.slowed * fall * min(1, self.number / 100)

    def _look_after_itself(self, loss: float) -> None:
        """Raise `DivergedError` when training has collapsed."""
        if not math.isfinite(loss):
            raise DivergedError(f"the loss is {loss}")
        is_read = self.vitals[1].item()
        if self.number >= PATIENCE and is_read < _READ_TOO_SELDOM:
            raise DivergedError(f"only {is_read:.1%} of the real images in noise are read")

    def news(self) -> str:
        is_caught, is_read = self.vitals.tolist()
        made = self.number * self.settings.candidates * self.settings.steps
        rate = f"{made / self.seconds:,.0f} image-steps/s, " if self.seconds else ""
        return f"{rate}{is_caught:.0%} of the rubbish caught, {is_read:.0%} of the real images read"

    def tensors(self) -> dict[str, Tensor]:
        state = {f"network.{k}": v for k, v in _own_state(self.network).items()}
        state |= {f"averaged.{k}": v for k, v in _own_state(self.averaged).items()}
        for number, parameter in enumerate(self.parameters):
            for name, tensor in self.optimiser.state[parameter].items():
                state[f"optimiser.{number}.{name}"] = tensor
        return state | {"vitals": self.vitals}

    def own(self) -> dict[str, Tensor]:
        names = ("levels", "targets", "begun")
        return super().own() | {
            f"candidates.{name}": getattr(self.candidates, name) for name in names
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in (self.tensors() | self.own()).items():
                tensor.copy_(state[name])


def _own_state(network: Network) -> dict[str, Tensor]:
    """Its parameters and buffers, without its readers'."""
    state: dict[str, Tensor] = guard_of(network).state_dict()
    return state | ({"doubt": network.doubt} if isinstance(network, Guarded) else {})
