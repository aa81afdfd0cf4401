"""Patchworks: candidates led by a search, which works where the gradient fails."""

import math

import torch
from torch import Generator, Tensor, nn

from deceive.common import processes
from deceive.common.levels import to_levels
from deceive.data.dataset import Dataset
from deceive.fooling.objectives import log_odds
from deceive.teaching.candidates import Candidates, some_of
from deceive.teaching.kind import logits_in
from deceive.teaching.settings import ResistingSettings
from deceive.teaching.squares import led_by_squares

_STARTS = ("uniform", "squares")


class Patchworks:
    """A separate set of candidates; in every round a search adds helpful squares to some of them.

    Attributes:
        candidates: this process's share; empty if `searched` is 0.
        led: indices of those led in this round.
    """

    def __init__(self, data: Dataset, settings: ResistingSettings, generator: Generator) -> None:
        self.data, self.settings, self.generator = data, settings, generator
        self.here = processes.here()
        kept = settings.kept // self.here.count
        count = kept * settings.searched // settings.candidates
        self.candidates = Candidates.blank(count, data.image_shape)
        if count:
            self._begin(torch.arange(count))
        self.led = torch.arange(0)

    def lead(self, network: nn.Module) -> None:
        """Restart a share of them, and lead some a little further."""
        searched, confidence = self.settings.searched, self.settings.confidence
        if not searched:
            return
        self.led = some_of(searched // self.here.count, len(self.candidates), self.generator)
        chance = torch.rand(len(self.led), generator=self.generator)
        self._begin(self.led[chance < self.settings.restarted])
        targets = self.candidates.targets[self.led].to(self.here.device)

        def score_of(images: Tensor) -> Tensor:
            count, each = images.shape[:2]
            flat = images.flatten(0, 1).to(self.here.device)
            logits = logits_in(network, flat, flat.new_zeros(len(flat)))
            return log_odds(logits, targets.repeat_interleave(each)).view(count, each)

        found = led_by_squares(
            self.images,
            score_of,
            enough=math.log(confidence / (1 - confidence)),
            generator=self.generator,
        )
        self.candidates.levels[self.led] = to_levels(found)

    @property
    def images(self) -> Tensor:
        """The images led in this round, (M, C, H, W) float32 in [0, 1]."""
        return self.candidates.images(self.led)

    def _begin(self, which: Tensor) -> None:
        self.candidates.begin_anywhere(
            which, _STARTS, self.data.train, self.data.n_classes, self.generator
        )
