"""Averaged weights, which follow a network that learns."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

YOUNG = 9
"""The average of the first n steps follows with a share of YOUNG / (YOUNG + n)."""


def following(share: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """How averaged weights follow others: quickly at first, then slowly.

    >>> import torch
    >>> follow, averages = following(0.99), torch.zeros(3, 1)
    >>> for average, number in zip(averages, (1, 9, 10_000)):
    ...     follow([average], [torch.ones(1)], number)
    >>> [round(average.item(), 3) for average in averages]
    [0.9, 0.5, 0.01]

    Args:
        share: of the average that stays in a step, in the end.
    """

    @torch.no_grad()
    def follow(averages: Sequence[Tensor], values: Sequence[Tensor], number: Tensor | int) -> None:
        followed = max(1 - share, YOUNG / (YOUNG + int(number)))
        for average, value in zip(averages, values, strict=True):
            average.lerp_(value, followed)

    return follow
