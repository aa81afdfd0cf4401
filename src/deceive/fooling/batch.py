"""The images being optimised together: when some leave, others take their places."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import compress

import torch
from torch import Tensor

from deceive.common.seeds import generator_for
from deceive.fooling.ascent import Ascent
from deceive.fooling.rules import RULES

Noise = Callable[[Tensor], object]
"""Fills a tensor (C, H, W) in place with the next standard normal noise of one image."""


def noise_of(seed: int, number: int) -> Noise:
    """The noise of image `number` for a seed; the same in any batch.

    >>> one, again = torch.empty(1, 2, 2), torch.empty(1, 2, 2)
    >>> torch.equal(noise_of(0, 7)(one), noise_of(0, 7)(again))
    True
    """
    return partial(Tensor.normal_, generator=generator_for(seed, number, "noise"))


@dataclass
class Batch:
    """n images being optimised, with the state of each."""

    number: Tensor
    """(n,) int64, which image of the call each one is."""
    target: Tensor
    """(n,) int64, the class that each one is optimised towards."""
    images: Tensor
    """(n, C, H, W) float32, within the bounds."""
    memory: Tensor
    """(n, M, C, H, W), what the step rule keeps of earlier steps."""
    taken: Tensor
    """(n,) int64, steps taken in this call."""
    begun: Tensor
    """(n,) int64, steps taken in earlier calls, which count towards the ascent's schedule."""
    passed: Tensor
    """(n,) int64, how many of the requested confidences each has reached."""
    flat: Tensor
    """(n,) bool, whether its gradient had vanished at the budget's last step."""
    noise: list[Noise]
    """The source of each one's noise; empty if the ascent has none."""

    def __len__(self) -> int:
        return len(self.number)

    def __add__(self, other: "Batch") -> "Batch":
        mine, its = vars(self), vars(other)
        joined = {key: torch.cat([mine[key], its[key]]) for key in mine if key != "noise"}
        return Batch(**joined, noise=self.noise + other.noise)

    def where(self, mask: Tensor) -> "Batch":
        """The images at which `mask` (n,) is true."""
        chosen = {key: value[mask] for key, value in vars(self).items() if key != "noise"}
        return Batch(**chosen, noise=list(compress(self.noise, mask.tolist())))


@dataclass(frozen=True)
class Entrance:
    """Prepares the images of a call for the batch, by number."""

    starts: Callable[[range], Tensor]
    """Image numbers to start images (n, C, H, W) within the bounds."""
    targets: Tensor
    """(N,) int64, on the network's device."""
    ascent: Ascent
    seed: int
    """For the ascent's noise."""
    begun: Tensor | None = None
    """(N,) int64, steps taken in earlier calls; None: none."""
    noise: Callable[[int, int], Noise] = noise_of
    """The seed and an image number to the noise of that image."""

    def batch(self, numbers: range) -> Batch:
        """The images of these numbers before their first step; `numbers` may be empty."""
        device = self.targets.device
        images = self.starts(numbers).to(device)
        number = torch.arange(numbers.start, numbers.stop, device=device)
        nothing, memory = torch.zeros_like(number), RULES[self.ascent.rule].memory
        return Batch(
            number=number,
            target=self.targets[number],
            images=images,
            memory=images.new_zeros(len(images), memory, *images.shape[1:]),
            taken=nothing,
            begun=nothing if self.begun is None else self.begun[number],
            passed=nothing.clone(),
            flat=torch.zeros_like(number, dtype=torch.bool),
            noise=[self.noise(self.seed, each) for each in numbers if self.ascent.noise],
        )
