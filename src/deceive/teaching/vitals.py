"""Vital signs of a network in training: what it catches and reads, and when to raise an alarm."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from deceive.teaching.game import DivergedError

# Vital signs are averages over the last hundred rounds or so.
_MEMORY = 0.99
_READ_TOO_SELDOM = 0.05


def recent(average: float, memory: float, count: int) -> float | None:
    """The share that a moving average of `count` shares stands for; None before the first.

    The average begins at 0, and that is taken out of it (Kingma and Ba 2015).

    >>> recent(0.5 * 0.0 + 0.5 * 0.8, 0.5, 1), recent(0.0, 0.5, 0)
    (0.8, None)
    """
    return None if count == 0 else min(1.0, average / (1 - memory**count))


class Signs(NamedTuple):
    """Recent shares; None before the first round."""

    is_caught: float | None
    """Of the rubbish."""
    is_read: float | None
    """Of the real images in noise."""


def signs_of(logits: Tensor, labels: Tensor, loss: Tensor, count: int) -> Tensor:
    """The signs (3,) from a lesson of `count` digits, as many candidates, and other images.

    Shares of the candidates caught and of the digits read, and the loss. An image counts as rubbish
    where that is more likely than all classes together. The single most likely answer would not do:
    where the network can't tell ten classes apart, each gets little, and rubbish most, whatever the
    image (docs/laboratory/colour.md).

    >>> logits = torch.tensor([[1.0, 1, 1.5], [0, 0, 1], [1, 1, 1.5], [0, 0, 1]])
    >>> signs_of(logits, torch.tensor([0, 1, 2, 2]), torch.tensor(0.5), 2).tolist()
    [0.5, 0.5, 0.5]
    """
    classes, rubbish = logits.detach()[: 2 * count, :-1], logits.detach()[: 2 * count, -1]
    is_rubbish = rubbish > classes.logsumexp(1)
    read = ~is_rubbish[:count] & (classes[:count].argmax(1) == labels[:count])
    return torch.stack([is_rubbish[count:].float().mean(), read.float().mean(), loss.detach()])


class Vitals:
    """Moving averages of the shares of rubbish caught and of digits read.

    Attributes:
        shares: both, (2,); they begin at 0.
        patience: rounds before they can raise an alarm; early ones are always alarming.
    """

    def __init__(self) -> None:
        self.shares = torch.zeros(2)
        self.patience = 1000

    def watch(self, signs: Tensor, number: int, alarm: Callable[[float], str | None]) -> None:
        """Take in the signs of round `number`, from 1.

        Raises `DivergedError` when the loss is not finite, when digits are hardly read any more, or
        when `alarm` gives a reason, from the share of rubbish caught.
        """
        self.shares.lerp_(signs[:2], 1 - _MEMORY)
        if not math.isfinite(loss := signs[2].item()):
            raise DivergedError(f"the loss is {loss}")
        if number < self.patience:
            return
        is_caught, is_read = self.after(number)
        assert is_caught is not None
        assert is_read is not None
        if is_read < _READ_TOO_SELDOM:
            raise DivergedError(f"only {is_read:.1%} of the real images in noise are read")
        if reason := alarm(is_caught):
            raise DivergedError(reason)

    def after(self, number: int) -> Signs:
        """The recent shares, after this many rounds."""
        return Signs(*(recent(share, _MEMORY, number) for share in self.shares.tolist()))
