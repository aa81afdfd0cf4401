"""One step up the gradient: run the network on noisy images, and move by the rule."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from deceive.common.levels import Bounds
from deceive.fooling.ascent import Ascent
from deceive.fooling.batch import Batch
from deceive.fooling.gradient import check_finite, gradient_of, is_flat
from deceive.fooling.objectives import Objective
from deceive.fooling.rules import RULES
from deceive.fooling.softening import softened
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import confidence_of


class Look(NamedTuple):
    """The network's output for a batch of n images, in the ascent's noise."""

    images: Tensor
    """(n, C, H, W), the leaf of the graph."""
    logits: Tensor
    """(n, K)."""
    score: Tensor
    """(n,), the objective."""


@dataclass(frozen=True)
class Climber:
    """Takes steps with the images of a batch against one network."""

    net: FrozenCopy
    ascent: Ascent
    objective: Objective
    bounds: Bounds
    steps: int
    """The most steps that an image takes."""
    goal: float | None = None
    """The score that is enough, for rules that aim at it."""

    def look(self, batch: Batch) -> Look:
        """Ask the network in the ascent's noise, and keep the graph."""
        images = batch.images.detach().requires_grad_(True)
        sigma = self.ascent.noise_after(batch.begun + batch.taken) * self._width
        with torch.enable_grad():
            logits = self.net.logits(self._in_noise(images, sigma, batch), sigma)
            return Look(images, logits, self.objective(logits, batch.target))

    def confidence(self, batch: Batch, look: Look) -> Tensor:
        """The confidence (n,) in each target, without noise."""
        plain = self.net.logits(batch.images.detach()) if self.ascent.noise else look.logits
        return confidence_of(plain.detach(), batch.target)

    def step(self, batch: Batch, look: Look | None = None, staying: Tensor | None = None) -> Batch:
        """Take one step with all images, or only with those for which `staying` (n,) is true.

        `look` is the network's output for this batch, if it is known already.
        """
        look = look or self.look(batch)
        gradient, score = gradient_of(look.score, look.images), look.score.detach()
        if staying is not None and not staying.all():
            batch, gradient, score = batch.where(staying), gradient[staying], score[staying]
        check_finite(gradient)
        flat = batch.flat
        if (last := batch.taken == self.steps - 1).any():
            flat = torch.where(last, is_flat(gradient), flat)

        if self.ascent.softness:
            noise = self.ascent.noise_after(batch.begun + batch.taken)
            gradient = softened(gradient, self.ascent.softness * noise)

        # Pixels held back by a bound don't count.
        images, (low, high) = batch.images.detach(), self.bounds
        held = ((images <= low) & (gradient < 0)) | ((images >= high) & (gradient > 0))
        gradient = gradient.masked_fill(held, 0)
        memory = batch.memory.masked_fill(held[:, None], 0)

        size = self.ascent.size_after(batch.begun + batch.taken)
        lacking = None if self.goal is None else (self.goal - score) / (size * self._width)
        rule, remembered = RULES[self.ascent.rule], self.ascent.momentum
        move = rule.move(gradient, memory, batch.taken, remembered, lacking)
        reach = move.reach * size * self._width
        images = images.addcmul(reach[:, None, None, None], move.direction).clamp_(low, high)
        return replace(batch, images=images, memory=move.state, taken=batch.taken + 1, flat=flat)

    @property
    def _width(self) -> float:
        low, high = self.bounds
        return high - low

    def _in_noise(self, images: Tensor, sigma: Tensor, batch: Batch) -> Tensor:
        """The images with gaussian noise of standard deviations `sigma` (n,)."""
        if not self.ascent.noise:
            return images
        noise = torch.empty(images.shape, dtype=torch.float32, device="cpu")
        for each, fill in zip(noise, batch.noise, strict=True):
            fill(each)
        return images + noise.to(images.device).mul_(sigma[:, None, None, None])
