"""What `fool` and `draw` return."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from deceive.common import checks
from deceive.common.levels import Bounds, from_levels


class Progress(NamedTuple):
    """The progress of a call of `fool`; its callback gets one after every step of the batch."""

    total: int
    """Candidates of this process."""
    finished: int
    """Candidates that fool, or are out of steps."""
    fooled: int
    """Candidates that fool."""
    image_steps: int
    """Steps taken so far, summed over all candidates."""


class Trajectory(NamedTuple):
    """F frames of one image, start first: levels (F, C, H, W) uint8 and confidence (F,)."""

    levels: Tensor
    confidence: Tensor

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        return f"Trajectory({len(self.levels)} frames)"


@dataclass(frozen=True)
class FoolingResult:
    """The outcome of N candidates, and which of them are fooling images.

    >>> import torch
    >>> from deceive import FoolingResult
    >>> result = FoolingResult(
    ...     levels=torch.zeros(2, 1, 4, 4, dtype=torch.uint8),
    ...     targets=torch.tensor([3, 5]),
    ...     confidence=torch.tensor([0.995, 0.2]),
    ...     fooled=torch.tensor([True, False]),
    ...     steps=torch.tensor([12, 1000]),
    ...     stalled=torch.tensor([False, False]),
    ... )
    >>> result
    FoolingResult(2 candidates, 1 fooled, median steps 12)
    >>> result.fooling_rate, result.images.shape
    (0.5, torch.Size([2, 1, 4, 4]))

    Attributes:
        levels: (N, C, H, W) uint8, the images as a PNG holds them.
        targets: (N,) int64, the class that each image is optimised towards.
        confidence: (N,) float32 in [0, 1], the softmax probability of the target, over all
            outputs, that the network gives the 8-bit image, computed in float32.
        fooled: (N,) bool, whether that is at least the confidence asked for.
        steps: (N,) int64, the steps taken until then, or until the budget was spent.
        stalled: (N,) bool, whether an image that doesn't fool had no gradient at its last step: 0,
            or too small for float32, in nearly all pixels. Such an image says nothing about how
            hard the model is to fool.
        bounds: the pixel values of levels 0 and 255.
        trajectories: each image's frames, or None if not requested.
        waypoints: the outcome of the same candidates at each lower confidence requested, in
            ascending order.
    """

    levels: Tensor
    targets: Tensor
    confidence: Tensor
    fooled: Tensor
    steps: Tensor
    stalled: Tensor
    bounds: Bounds = (0.0, 1.0)
    trajectories: tuple[Trajectory, ...] | None = None
    waypoints: "tuple[FoolingResult, ...]" = ()

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        said = [checks.counted(len(self), "candidate"), f"{int(self.fooled.sum()):,} fooled"]
        if self.median_steps is not None:
            said.append(f"median steps {self.median_steps:g}")
        if self.stalled.any():
            said.append(f"{int(self.stalled.sum()):,} stalled")
        return f"{type(self).__name__}({', '.join(said)})"

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) float32 within the bounds: the network's input."""
        return from_levels(self.levels, self.bounds)

    @property
    def fooling_rate(self) -> float:
        """Share of the candidates that are fooling images, in [0, 1]."""
        return self.fooled.double().mean().item()

    @property
    def median_steps(self) -> float | None:
        """Median steps to fool, over the fooling images alone; None if there are none."""
        return self.steps[self.fooled].double().quantile(0.5).item() if self.fooled.any() else None

    @property
    def caution(self) -> str | None:
        """Why the fooling rate may be too low, in a sentence; None if nothing stalled."""
        count = int(self.stalled.sum())
        if count == 0:
            return None
        return (
            f"{count:,} of {len(self):,} candidates ({count / len(self):.0%}) stalled: the "
            "gradient vanished (0, or too small for float32) in nearly all pixels, so they say "
            "nothing about how hard the model is to fool; return the logits before the softmax, or "
            "try another start; if the model rounds its input, `audit` can search it as a black box"
        )
