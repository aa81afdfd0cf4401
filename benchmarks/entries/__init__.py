"""Entries of the speedrun: functions that train a reader of digits as quickly as they can.

An entry is a function `train(images, labels, seed)` that gets MNIST's 60,000 training images
(N, 1, 28, 28), float32 in [0, 1], and their labels (N,), and returns a module in evaluation mode
that gives logits (N, 10) for such images. To enter, add a module to this folder and its line to
`ENTRIES`. `../README.md` has the rules.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from benchmarks.entries import ours


class Entry(NamedTuple):
    """How one contestant trains, and for what."""

    level: float
    """The share of the test images that it has to read, as the mean over all seeds."""
    train: Callable[[Tensor, Tensor, int], nn.Module]
    """Images, labels and a seed to a trained network."""
    about: str
    """What it is, in a few words."""


ENTRIES: dict[str, Entry] = {
    **{
        f"ours-{name}": Entry(recipe.level, recipe.train, recipe.about)
        for name, recipe in ours.RECIPES.items()
    },
}
"""By name, in the order of the table."""
