"""Rounds in which a classifier learns to resist: candidates from all starts, by all step rules."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from deceive.common import processes
from deceive.data.dataset import Dataset
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.objectives import log_odds
from deceive.fooling.rules import IN_TURN
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Guarded
from deceive.storage.models import halved
from deceive.teaching.candidates import Candidates, some_of
from deceive.teaching.kind import Lesson, smooth, untaught
from deceive.teaching.patchworks import Patchworks
from deceive.teaching.readers import Readers
from deceive.teaching.settings import SURE, ResistingSettings
from deceive.training.augmenting import augment
from deceive.training.calibrating import expect_rubbish
from deceive.training.settings import TrainingSettings

# Half of the images of a lesson get gaussian noise of up to this standard deviation, more often
# weak than strong, so that the network can't rely on the finest details.
_NOISE = 0.5

# Steps are up to this many times as large as the settings say, and in every other round the
# gradient is taken in noise of up to this standard deviation.
_LARGER, _SMOOTHING = 30, 0.3


class Resisting:
    """Images as they are, some in noise that the network is not told about.

    The network learns that a candidate that began as noise is rubbish. Of a candidate that began as
    a digit it only learns that it isn't its target, because at first it is still that digit.
    Patchworks are rubbish too; a search leads them to places that the gradient never reaches.
    """

    def __init__(self, data: Dataset, settings: ResistingSettings, generator: Generator) -> None:
        self.data, self.settings, self.generator = data, settings, generator
        self.network, self.readers = untaught(settings, data), None
        if isinstance(self.network, Guarded):
            self.readers = Readers(self.network, data, settings.seed)
            self.network = self.readers.behind(self.network.guard)
        count = processes.here().count
        self.chosen = settings.candidates // count
        self.candidates = Candidates.blank(settings.kept // count, data.image_shape)
        self.were_digits = self._begin(torch.arange(len(self.candidates)))
        self.patchworks = Patchworks(data, settings, generator)

    def begin(self) -> None:
        """Train the readers, if the network has any."""
        if self.readers is not None:
            self.readers.train()

    def choose(self) -> Tensor:
        """Choose some at random; a share of them restarts."""
        chosen = some_of(self.chosen, len(self.candidates), self.generator)
        chance = torch.rand(len(chosen), generator=self.generator)
        anew = chosen[chance < self.settings.restarted]
        self.were_digits[anew] = self._begin(anew)
        return chosen

    def _begin(self, which: Tensor) -> Tensor:
        """Restart some of the candidates; returns which of them are digits."""
        return self.candidates.begin_anywhere(
            which, self.settings.starts, self.data.train, self.data.n_classes, self.generator
        )

    def climb(self, frozen: FrozenCopy, chosen: Tensor, number: int) -> None:
        """Let candidates climb until they deceive, and lead some patchworks a little further."""
        s, ascent = self.settings, self._ascent(number)
        self.candidates.levels[chosen] = fool(
            frozen,
            self.candidates.targets[chosen],
            confidence=s.confidence,
            start=self.candidates.images(chosen),
            steps=s.steps,
            ascent=ascent,
            seed=int(torch.randint(2**60, (), generator=self.generator)),
            chunk=len(chosen),
        ).levels
        self.patchworks.lead(self.network)

    def _ascent(self, number: int) -> Ascent:
        """The rules in turn, in steps of any size, every other time in noise."""
        chance = torch.rand(2, generator=self.generator).tolist()
        return Ascent(
            rule=IN_TURN[number % len(IN_TURN)],
            step_size=self.settings.step_size * _LARGER ** chance[0],
            momentum=self.settings.momentum,
            noise=_SMOOTHING * max(0, 2 * chance[1] - 1),
        )

    def lesson(self, chosen: Tensor) -> Lesson:
        """Digits (half of them distorted), candidates, half of all in noise; then patchworks."""
        n, digits = len(chosen), self.data.train
        real = torch.randint(len(digits), (n,), generator=self.generator)
        images = digits.images[real]
        bent = augment(images[: n // 2], TrainingSettings(), self.generator)
        level, noisy = torch.rand(2, 2 * n, generator=self.generator)
        found, led = self.candidates.images(chosen), self.patchworks.images
        return Lesson(
            torch.cat([bent, images[n // 2 :], found, led]),
            torch.cat([digits.labels[real], torch.full((n + len(led),), self.data.n_classes)]),
            torch.cat([_NOISE * level.square() * (noisy < 0.5), torch.zeros(len(led))]),
        )

    def loss(self, logits: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
        """Cross-entropy; for candidates that were digits, -log(1 - p(target)) instead."""
        n, weight = len(chosen), self.settings.rubbish_weight
        targets = self.candidates.targets[chosen].to(logits.device)
        wrong = F.cross_entropy(logits, labels, reduction="none")
        not_target = F.softplus(log_odds(logits[n : 2 * n], targets))
        were_digits = self.were_digits[chosen].to(logits.device)
        of_candidates = torch.where(were_digits, not_target, wrong[n : 2 * n])
        of_rubbish = torch.cat([of_candidates, wrong[2 * n :]])
        return (wrong[:n].mean() + weight * of_rubbish.mean()) / (1 + weight)

    def penalise(self, images: Tensor, labels: Tensor, sigma: Tensor, number: int) -> None:
        """Smooth the network at digits."""
        smooth(self.network, images, labels, sigma, self.settings, number)

    def alarm(self, is_caught: float) -> str | None:
        """Always None: the more rubbish is caught, the better."""
        return None

    def finished(self, averaged: Classifier) -> Classifier | Guarded:
        """The average, with its readers, which expects rubbish as often as digits can bear."""
        whole = self.readers.finished(averaged) if self.readers is not None else averaged
        network = halved(whole)
        if self.settings.digits_sure is not None:
            held_out = self.data.validation
            expect_rubbish(
                network,
                held_out.images,
                held_out.labels,
                share=self.settings.digits_sure,
                confidence=SURE,
            )
        return halved(network)

    def shared(self) -> dict[str, Tensor]:
        """The readers."""
        if self.readers is None:
            return {}
        both = {"readers": self.readers.own, "easy": self.readers.easy}
        state: dict[str, Tensor] = nn.ModuleDict(both).state_dict()
        return state

    def own(self) -> dict[str, Tensor]:
        """The candidates, and which were digits; the patchworks."""
        state = self.candidates.tensors() | {"were_digits": self.were_digits}
        if self.settings.searched:
            state |= {f"patchworks.{k}": v for k, v in self.patchworks.candidates.tensors().items()}
        return state
