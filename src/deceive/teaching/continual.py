"""A round: some candidates climb a few steps, then the network takes one, then its average."""

import math
import time
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from deceive.common import processes
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Network, guard_of
from deceive.storage.kinds import Row
from deceive.teaching.emerging import Emerging
from deceive.teaching.game import DivergedError, Game
from deceive.teaching.kind import Lesson, RoundsKind, logits_in, steepness_of
from deceive.teaching.resisting import Resisting
from deceive.teaching.settings import ContinualSettings, EmergingSettings, ResistingSettings
from deceive.teaching.vitals import Vitals, signs_of

_Tensors = tuple[Tensor, ...] | list[Tensor]

# The learning rate rises over this many rounds.
WARMING = 100

# The average of the first n rounds follows with a share of YOUNG / (YOUNG + n), until the setting
# `averaging` makes it slower than that.
YOUNG = 9

# The gradient is penalised only in every fourth round, four times over (lazy, as in Karras et al.
# 2020).
_PENALISED = 4


class Continual(Game):
    """Rounds in which one network keeps learning; its average is the result."""

    settings: ContinualSettings

    def __init__(self, data: Dataset, settings: EmergingSettings | ResistingSettings) -> None:
        super().__init__(data, settings)
        self.kind: RoundsKind = (
            Emerging(self.data, settings, self.generator)
            if isinstance(settings, EmergingSettings)
            else Resisting(self.data, settings, self.generator)
        )
        self.network, learning = self.kind.network, guard_of(self.kind.network)
        self.averaged = AveragedModel(learning, multi_avg_fn=self._follow).requires_grad_(False)
        self.averaged.n_averaged.fill_(1)  # the network before the first round counts as one
        self.frozen: FrozenCopy | None = None
        """What stands still while images climb; made in the first round, when readers are there."""
        self.parameters = [*learning.parameters()]
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
        self.schedule = self._scheduled()
        self.vitals = Vitals()

    def play(self) -> None:
        """Deceive the network, teach it, average it."""
        started, kind = time.perf_counter(), self.kind
        self.number += 1

        # Deceive: some candidates climb, and the network stands still.
        chosen = kind.choose()
        self._deceive(chosen)

        # Teach: the network takes an optimiser step, and the images stand still.
        images, labels, sigma = self._in_noise(kind.lesson(chosen))
        logits, n = logits_in(self.network, images, sigma), len(chosen)
        loss = kind.loss(logits, labels, chosen)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.settings.smoothness and self.number % _PENALISED == 0:
            steepness = steepness_of(self.network, images[:n], labels[:n], sigma[:n])
            penalty = self.settings.smoothness / 2 * steepness
            (_PENALISED * penalty).backward()  # type: ignore[no-untyped-call]
        signs = signs_of(logits, labels, loss, n)
        processes.average_([*(cast(Tensor, p.grad) for p in self.parameters), signs])
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.schedule.step()

        # Average: the averaged network follows slowly.
        self.averaged.update_parameters(guard_of(self.network))

        self.vitals.watch(signs.cpu(), self.number, kind.alarm)
        self.seconds += time.perf_counter() - started

    def _deceive(self, chosen: Tensor) -> None:
        """Let the chosen candidates climb. Raises `DivergedError` if the gradient is unusable."""
        trouble = None
        try:
            if self.frozen is None:
                self.frozen = FrozenCopy(self.network, self.kind.candidates.images(chosen[:1]))
            else:
                self.frozen.follow(self.network)
            with processes.alone():  # each has its own candidates
                self.kind.climb(self.frozen, chosen, self.number)
        except InputError as error:  # all else that could be wrong was checked before
            trouble = str(error)
        if anywhere := processes.first_trouble(trouble):
            raise DivergedError(anywhere)

    def _in_noise(self, lesson: Lesson) -> tuple[Tensor, Tensor, Tensor]:
        """A lesson's images in their noise, its labels, and the noise's standard deviations."""
        noise = torch.randn(lesson.images.shape, generator=self.generator)
        images = lesson.images + noise * lesson.sigma[:, None, None, None]
        device = self.here.device
        return images.to(device), lesson.labels.to(device), lesson.sigma.to(device)

    def _follow(self, averages: _Tensors, values: _Tensors, number: Tensor | int) -> None:
        """Move averages towards the values of round `number`: quickly at first, then slowly."""
        share = max(1 - self.settings.averaging, YOUNG / (YOUNG + int(number)))
        for average, value in zip(averages, values, strict=True):
            average.lerp_(value, share)

    def _scheduled(self) -> LambdaLR:
        """The learning rate from the next round on."""

        def factor(played: int) -> float:
            number, rounds = played + 1, self.settings.rounds
            fall = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * number / rounds))
            return self.slowed * fall * min(1, number / WARMING)

        return LambdaLR(self.optimiser, factor, last_epoch=self.number - 1)

    def begin(self) -> None:
        """Do what the kind needs before the first round."""
        started = time.perf_counter()
        self.kind.begin()
        self.seconds += time.perf_counter() - started

    def slow_down(self, slowed: float, rollbacks: int) -> None:
        """Continue with another factor of the learning rate, after this many rollbacks."""
        super().slow_down(slowed, rollbacks)
        self.schedule = self._scheduled()

    def best(self) -> Network:
        """The averaged network, in half precision."""
        return self.kind.finished(cast(Classifier, self.averaged.module))

    def tally(self, network: Network) -> Row:
        """The shares of rubbish caught and of digits read in recent rounds."""
        return {
            "rubbish_caught": self.vitals.is_caught,
            "digits_read_in_noise": self.vitals.is_read,
        }

    def news(self) -> str:
        """Speed, rubbish caught and digits read."""
        is_caught, is_read = self.vitals.is_caught, self.vitals.is_read
        made = self.number * self.settings.candidates * self.settings.steps
        rate = f"{made / self.seconds:,.0f} image-steps/s, " if self.seconds else ""
        return f"{rate}{is_caught:.0%} of the rubbish caught, {is_read:.0%} of the real images read"

    def shared(self) -> dict[str, Tensor]:
        """The network, its average, the optimiser's memory, the vital signs, and the kind's."""
        learning = guard_of(self.network)
        state = {f"network.{k}": v for k, v in learning.state_dict().items()}
        state |= {f"averaged.{k}": v for k, v in self.averaged.module.state_dict().items()}
        for number, parameter in enumerate(self.parameters):
            for name, tensor in self.optimiser.state[parameter].items():
                state[f"optimiser.{number}.{name}"] = tensor
        return state | {"vitals": self.vitals.shares} | self.kind.shared()

    def own(self) -> dict[str, Tensor]:
        """The generator, and the kind's candidates."""
        candidates = {f"candidates.{k}": v for k, v in self.kind.own().items()}
        return {"generator": self.generator.get_state()} | candidates

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the tensors of `shared` and `own`."""
        with torch.no_grad():
            for name, tensor in (self.shared() | self.own()).items():
                tensor.copy_(state[name])
        self.averaged.n_averaged.fill_(1 + self.number)
        self.schedule = self._scheduled()
