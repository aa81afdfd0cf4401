"""A round: some candidates climb a few steps, then the network takes one, then its average."""

import time
from typing import cast

import torch
from torch import Tensor

from deceive.data.dataset import Dataset
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Network, guard_of
from deceive.storage.kinds import Row
from deceive.teaching.emerging import Emerging
from deceive.teaching.game import Game, unless_unusable
from deceive.teaching.kind import Lesson, RoundsKind, logits_in
from deceive.teaching.learner import Learner
from deceive.teaching.resisting import Resisting
from deceive.teaching.settings import ContinualSettings, EmergingSettings, ResistingSettings
from deceive.teaching.vitals import Vitals, signs_of


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
        if isinstance(settings, EmergingSettings):
            self.ascent, self.start = settings.ascent, settings.start
        self.network, learning = self.kind.network, guard_of(self.kind.network)
        self.learner = Learner(
            learning,
            rate=settings.rate,
            averaging=settings.averaging,
            rounds=settings.rounds,
        )
        self.frozen: FrozenCopy | None = None
        """What stands still while images climb; made in the first round, when readers are there."""
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
        self.learner.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        kind.penalise(images[:n], labels[:n], sigma[:n], self.number)
        signs = signs_of(logits, labels, loss, n)

        # The network takes the step, and its average follows slowly.
        self.learner.step(signs)

        self.vitals.watch(signs.cpu(), self.number, kind.alarm)
        self.seconds += time.perf_counter() - started

    def _deceive(self, chosen: Tensor) -> None:
        """Let the chosen candidates climb. Raises `DivergedError` if the gradient is unusable."""

        def climb() -> None:
            if self.frozen is None:
                self.frozen = FrozenCopy(self.network, self.kind.candidates.images(chosen[:1]))
            else:
                self.frozen.follow(self.network)
            self.kind.climb(self.frozen, chosen, self.number)

        unless_unusable(climb)

    def _in_noise(self, lesson: Lesson) -> tuple[Tensor, Tensor, Tensor]:
        """A lesson's images in their noise, its labels, and the noise's standard deviations."""
        noise = torch.randn(lesson.images.shape, generator=self.generator)
        images = lesson.images + noise * lesson.sigma[:, None, None, None]
        device = self.here.device
        return images.to(device), lesson.labels.to(device), lesson.sigma.to(device)

    def begin(self) -> None:
        """Do what the kind needs before the first round."""
        started = time.perf_counter()
        self.kind.begin()
        self.seconds += time.perf_counter() - started

    def slow_down(self, slowed: float, rollbacks: int) -> None:
        """Continue with another factor of the learning rate, after this many rollbacks."""
        super().slow_down(slowed, rollbacks)
        self.learner.go_on(self.number, slowed)

    def best(self) -> Network:
        """The averaged network, in half precision."""
        return self.kind.finished(cast(Classifier, self.learner.averaged))

    def tally(self, network: Network) -> Row:
        """The shares of rubbish caught and of digits read in recent rounds."""
        signs = self.vitals.after(self.number)
        return {"rubbish_caught": signs.is_caught, "digits_read_in_noise": signs.is_read}

    def news(self) -> str:
        """Speed, rubbish caught and digits read; nothing before the first round."""
        is_caught, is_read = self.vitals.after(self.number)
        if is_caught is None:
            return ""
        made = self.number * self.settings.candidates * self.settings.steps
        rate = f"{made / self.seconds:,.0f} image-steps/s, " if self.seconds else ""
        caught = f"{is_caught:.0%} of the rubbish caught"
        return f"{rate}{caught}, {is_read:.0%} of the real images in noise read"

    def shared(self) -> dict[str, Tensor]:
        """The network, its average, the optimiser's memory, the vital signs, and the kind's."""
        return self.learner.state() | {"vitals": self.vitals.shares} | self.kind.shared()

    def own(self) -> dict[str, Tensor]:
        """The generator, and the kind's candidates."""
        candidates = {f"candidates.{k}": v for k, v in self.kind.own().items()}
        return {"generator": self.generator.get_state()} | candidates

    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the tensors of `shared` and `own`."""
        with torch.no_grad():
            for name, tensor in (self.shared() | self.own()).items():
                tensor.copy_(state[name])
        self.learner.go_on(self.number, self.slowed)
