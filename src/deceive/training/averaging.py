"""Averaged weights, which follow a network that learns."""

from collections.abc import Callable

from torch import Tensor


def following(share: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """How averaged weights follow: quickly at first, then slowly; for torch's `AveragedModel`.

    >>> import torch
    >>> follow, zero, one = following(0.99), torch.zeros(1), torch.ones(1)
    >>> [round(follow(zero, one, number).item(), 3) for number in (1, 9, 10_000)]
    [0.9, 0.5, 0.01]

    Args:
        share: of the average that stays in a step, in the end.
    """

    def followed(average: Tensor, value: Tensor, number: Tensor | int) -> Tensor:
        return average.lerp(value, max(1 - share, 9 / (9 + int(number))))

    return followed
