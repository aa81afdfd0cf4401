"""Boxes of values, and affine maps of them, rounded outwards.

A box holds every value that the network's arithmetic in float32 may give, and every value that its
weights give in real numbers. For an inner product of n terms, in any order, with or without fused
multiplications, float32 is off by at most γ(n + 1) times the sum of the terms' sizes, with
γ(k) = ku / (1 - ku) and u = 2⁻²⁴ (Higham 2002, section 3.1). The boxes are worked out in float64,
whose own rounding, here and where boxes are halved, is less than one more u for up to 2²⁶ terms: so
γ(n + 2) pays for both.

A box in float32 is good enough to train with, and keeps its gradient.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

ROUNDING = 2.0**-24
"""u, the greatest relative error of an operation in float32."""

# For each term, more than what underflow can add, even if numbers below 2⁻¹²⁶ count as 0.
_UNDERFLOW = 2.0**-90


class Box(NamedTuple):
    """Every value from `lower` to `upper`, of the same shape (N, …); float64 where it counts."""

    lower: Tensor
    upper: Tensor

    @property
    def size(self) -> Tensor:
        """The greatest size of any value in it, (N, …)."""
        return torch.maximum(self.lower.abs(), self.upper.abs())

    def widened(self, by: Tensor | float) -> "Box":
        """A box that is larger on both sides by `by` ≥ 0, and by the rounding of that."""
        by = by + 4 * 2.0**-53 * (self.size + by) + _UNDERFLOW
        return Box(self.lower - by, self.upper + by)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "Box":
        """The box after a function that never falls as a value rises, worked out exactly."""
        return Box(function(self.lower), function(self.upper))


def gamma(terms: int) -> float:
    """The relative error of an inner product of so many terms in float32; see above.

    >>> gamma(16) == 18 * 2.0**-24 / (1 - 18 * 2.0**-24)
    True
    """
    return (terms + 2) * ROUNDING / (1 - (terms + 2) * ROUNDING)


def ball(images: Tensor, epsilon: float) -> Box:
    """All images of which no pixel is further than `epsilon` from these, nor outside [0, 1].

    >>> lower, upper = ball(torch.tensor([[[[0.0, 0.5]]]]), 0.25)
    >>> [round(value, 9) for value in (*lower.flatten().tolist(), *upper.flatten().tolist())]
    [0.0, 0.25, 0.25, 0.75]
    """
    images = images.double()
    box = Box(images - epsilon, images + epsilon)
    return box.widened(0.0).mapped(lambda values: values.clamp(0, 1))


def affine(
    box: Box,
    function: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    weight: Tensor,
    bias: Tensor | None,
    terms: int,
) -> Box:
    """The box after `function(values, weight, bias)`: inner products of so many terms.

    It works out a middle and how far the values are from it, as a linear map of the weights' sizes
    (Gowal et al. 2018).
    """
    middle = (box.lower + box.upper) / 2
    weight = weight.to(middle)
    bias = None if bias is None else bias.to(middle)
    reach = (box.upper - box.lower) / 2
    error = gamma(terms)
    off = reach + error * (middle.abs() + reach)
    around = function(middle, weight, bias)
    off = function(off, weight.abs(), None if bias is None else error * bias.abs())
    off = off + terms * _UNDERFLOW
    return Box(around - off, around + off)
