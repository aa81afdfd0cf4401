"""Rounds in which digits emerge: candidates climb through less and less noise."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from deceive.common import processes
from deceive.data.dataset import Dataset
from deceive.fooling.climb import climb
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.storage.models import halved
from deceive.teaching.candidates import Candidates, some_of
from deceive.teaching.kind import Lesson, smooth, untaught
from deceive.teaching.leading import lead
from deceive.teaching.settings import EmergingSettings
from deceive.training.augmenting import augment
from deceive.training.settings import TrainingSettings

# When the network catches this share of its candidates, it has nothing more to learn from them.
_CAUGHT_TOO_OFTEN = 0.98


class Emerging:
    """Digits and candidates in the same noise; the network is told the noise level.

    A candidate is shown in the noise of its step of the schedule, and a digit in the same noise. So
    at each noise level the network learns to tell digits from the images that the ascent makes.
    Other digits are shown without noise, so that it learns to read those too.
    """

    def __init__(self, data: Dataset, settings: EmergingSettings, generator: Generator) -> None:
        self.data, self.settings, self.generator = data, settings, generator
        count = processes.here().count
        self.network = untaught(settings, data)
        self.chosen = settings.candidates // count
        self.candidates = Candidates.blank(settings.kept // count, data.image_shape)
        # The steps that each candidate has taken since it began. At first, a random number.
        self.taken = torch.randint(settings.end, (len(self.candidates),), generator=generator)
        self._begin(torch.arange(len(self.candidates)))

    def begin(self) -> None:
        """Nothing to do before the first round."""

    def choose(self) -> Tensor:
        """Choose some at random; those at the end of the schedule restart as noise."""
        chosen = some_of(self.chosen, len(self.candidates), self.generator)
        finished = chosen[self.taken[chosen] >= self.settings.end]
        self._begin(finished)
        self.taken[finished] = 0
        return chosen

    def _begin(self, indices: Tensor) -> None:
        n_classes, start = self.data.n_classes, self.settings.start
        self.candidates.begin_in_noise(indices, n_classes, self.generator, start)

    def climb(self, frozen: FrozenCopy, chosen: Tensor, number: int) -> None:
        """Take a few steps further along the schedule."""
        self.candidates.levels[chosen] = climb(
            frozen,
            self.candidates.images(chosen),
            self.candidates.targets[chosen],
            self.settings.ascent,
            steps=self.settings.steps,
            begun=self.taken[chosen],
            seed=int(torch.randint(2**60, (), generator=self.generator)),
        )
        self.taken[chosen] += self.settings.steps

    def lesson(self, chosen: Tensor) -> Lesson:
        """Digits and candidates in the candidates' noise, then clean digits."""
        n, clean, digits = len(chosen), self.settings.clean_digits, self.data.train
        real = torch.randint(len(digits), (n + clean,), generator=self.generator)
        images, labels = digits.images[real], digits.labels[real]
        bent = augment(images[n:], TrainingSettings(), self.generator)
        sigma = self.settings.ascent.noise_after(self.taken[chosen])
        return Lesson(
            torch.cat([images[:n], self.candidates.images(chosen), bent]),
            torch.cat([labels[:n], torch.full((n,), self.data.n_classes), labels[n:]]),
            torch.cat([sigma, sigma, torch.zeros(clean)]),
        )

    def loss(self, logits: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
        """Cross-entropy, over all outputs in noise, and over the classes alone on clean digits."""
        n, k = len(chosen), self.data.n_classes
        weight = torch.ones(k + 1, device=logits.device)
        weight[k] = self.settings.rubbish_weight
        loss = F.cross_entropy(logits[: 2 * n], labels[: 2 * n], weight)
        if len(labels) > 2 * n:
            clean = F.cross_entropy(logits[2 * n :, :k], labels[2 * n :], reduction="sum")
            loss = loss + clean / (2 * n)
        return loss

    def penalise(self, images: Tensor, labels: Tensor, sigma: Tensor, number: int) -> None:
        """Lead the network, if that is asked for; else smooth it at digits."""
        s = self.settings
        if s.leading:
            lead(self.network, self.data.train, s, len(images), self.generator, number)
        else:
            smooth(self.network, images, labels, sigma, s, number)

    def alarm(self, is_caught: float) -> str | None:
        """Too much rubbish is caught."""
        if is_caught > _CAUGHT_TOO_OFTEN:
            return f"{is_caught:.1%} of the images made to deceive the network are caught"
        return None

    def finished(self, averaged: Classifier) -> Classifier:
        """The average itself."""
        return halved(averaged)

    def shared(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def own(self) -> dict[str, Tensor]:
        """The candidates, and how far they are."""
        return self.candidates.tensors() | {"taken": self.taken}
