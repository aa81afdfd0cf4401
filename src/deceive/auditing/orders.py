"""Whether a model reads real images well, but its outputs are in another order than the classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from deceive.auditing.shares import share_of
from deceive.common.checks import few
from deceive.common.seeds import generator_for
from deceive.judging.measures import skill

# Images per class from which another order is no chance find.
_PER_CLASS = 5

# With more skill than this no order is doubted.
_POOR = 0.5

# Another order has to read so many more of the images, and so many standard errors more.
_MORE, _ERRORS = 0.1, 3.0


def another_order(chosen: Tensor, labels: Tensor, names: Sequence[str]) -> list[str]:
    """A warning if a model reads real images well once its outputs are put into another order.

    >>> labels = torch.arange(20) % 2
    >>> another_order(1 - labels, labels, ["cat", "dog"])[0][:75]
    'It would read 100.0% of the test images if its outputs were in another orde'
    >>> another_order(labels, labels, ["cat", "dog"])
    []

    Args:
        chosen: (N,), the output that is greatest for each test image.
        labels: (N,).
        names: of the data's classes.
    """
    n_classes = len(names)
    if len(labels) < _PER_CLASS * n_classes or skill(share_of(chosen == labels), n_classes) > _POOR:
        return []
    # Found on half of the images, and tried on the rest.
    halves = torch.randperm(len(labels), generator=generator_for(0, 0)).chunk(2)
    best = _best_order(chosen[halves[0]], labels[halves[0]], n_classes)
    now, then = (chosen == labels)[halves[1]], (best[labels] == chosen)[halves[1]]
    gained, differ = int(then.sum()) - int(now.sum()), int((then != now).sum())
    if gained < max(_MORE * len(now), _ERRORS * differ**0.5):
        return []
    would = share_of(best[labels] == chosen)
    moved = [
        f"“{names[label]}” is output {int(output)}"
        for label, output in enumerate(best)
        if label != output
    ]
    return [
        f"It would read {would:.1%} of the test images if its outputs were in another order: "
        f"{few(moved)}. Output k must be the class of label k, and libraries "
        "sort labels in different ways (10 before 2); let the model return its scores in the "
        "order of the data's classes."
    ]


def _best_order(chosen: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """The output (K,) for each class that it is chosen for most often, each but once."""
    width = max(n_classes, int(chosen.max()) + 1)
    counts = torch.bincount(labels * width + chosen, minlength=n_classes * width)
    counts = counts.view(n_classes, width)
    best = torch.zeros(n_classes, dtype=torch.int64)
    for _ in range(n_classes):
        label, output = divmod(int(counts.argmax()), width)
        best[label] = output
        counts[label], counts[:, output] = -1, -1
    return best
