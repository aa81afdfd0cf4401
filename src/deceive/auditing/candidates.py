"""The candidates of an audit: each is a start image and a target.

All attacks from one kind of start use the same candidates, so that results can be combined per
candidate.
"""

from typing import get_args

import torch
from torch import Tensor

from deceive.auditing.settings import StartName
from deceive.common.seeds import generator_for
from deceive.data.dataset import Labelled
from deceive.fooling.starts import REAL, begin

WHITE_STARTS: tuple[StartName, ...] = get_args(StartName)
"""The kinds of start of the gradient attacks."""


def targets_of(
    numbers: range, n_classes: int, count: int, *, earlier: int = 0, total: int | None = None
) -> Tensor:
    """Targets of the candidates with these numbers, (n,) int64: the classes in turn.

    If a start has fewer candidates than there are classes, the next start continues with the next
    class. If all starts together have fewer, the targets are spread evenly over the classes.

    Args:
        numbers: of the candidates, below `count`.
        n_classes: how many classes there are.
        count: candidates per start.
        earlier: candidates of the previous starts.
        total: candidates of all starts; by default those of one.

    >>> targets_of(range(5), n_classes=3, count=5).tolist()
    [0, 1, 2, 0, 1]
    """
    total = count if total is None else total
    if count >= n_classes:
        targets = [number % n_classes for number in numbers]
    elif total >= n_classes:
        targets = [(earlier + number) % n_classes for number in numbers]
    else:
        targets = [(earlier + number) * n_classes // total for number in numbers]
    return torch.tensor(targets, dtype=torch.int64)


def start_images(start: str, numbers: range, targets: Tensor, real: Labelled, seed: int) -> Tensor:
    """The start images of candidates, (n, C, H, W) in [0, 1].

    Args:
        start: a name from `starts.STARTS`, or `real`: an image of another class than the target.
        numbers: of the candidates.
        targets: their targets, (n,).
        real: labelled images to take one from.
        seed: each candidate has its own generator.
    """
    if start != REAL:
        return begin(start, numbers, real.image_shape, seed)
    chosen = []
    for number, target in zip(numbers, targets, strict=True):
        others = (real.labels != target).nonzero()[:, 0]
        which = torch.randint(0, len(others), (), generator=generator_for(seed, number))
        chosen.append(others[which])
    return real.read(torch.stack(chosen))
