"""Images that are not optimised and show none of the classes, and how a model scores them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.common.levels import Shape, from_levels, to_levels
from deceive.common.seeds import generator_for
from deceive.data.dataset import Labelled
from deceive.fooling.starts import begin

Kind = Callable[[range, int, Labelled, int], Tensor]
"""(numbers, count of all, real images, seed) → the images of those numbers, (n, C, H, W)."""


def _noise(kind: str) -> Kind:
    return lambda numbers, _, real, seed: begin(kind, numbers, real.image_shape, seed)


def permuted(numbers: range, count: int, real: Labelled, seed: int) -> Tensor:
    """Real images, each with its pixels shuffled in its own order (Meinke and Hein 2020)."""
    images = []
    read = real.read(torch.tensor(numbers) % len(real))
    for index, image in zip(numbers, read, strict=True):
        order = torch.randperm(image[0].numel(), generator=generator_for(seed, index))
        images.append(image.flatten(1)[:, order].view(image.shape))
    return torch.stack(images)


def constant(numbers: range, count: int, real: Labelled, seed: int) -> Tensor:
    """Plain greys (n, C, H, W), from black to white in equal steps.

    >>> from deceive.data.dataset import Split
    >>> real = Split(torch.rand(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64))
    >>> constant(range(3), 3, real, seed=0).flatten(1)[:, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    greys = torch.tensor(numbers) / max(count - 1, 1)
    return greys.view(-1, 1, 1, 1).expand(-1, *real.image_shape).contiguous()


GARBAGE: dict[str, Kind] = {
    "uniform": _noise("uniform"),
    "gaussian": _noise("gaussian"),
    "smooth": _noise("smooth"),
    "squares": _noise("squares"),
    "permuted": permuted,
    "constant": constant,
}
"""By name."""


@dataclass(frozen=True, eq=False)
class GarbageImages:
    """Garbage of a kind from `GARBAGE`, as a PNG holds it; made when it is read."""

    kind: str
    count: int
    real: Labelled
    """Real images, which set the shape."""
    seed: int

    def __len__(self) -> int:
        return self.count

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of every image."""
        return self.real.image_shape

    def read(self, which: slice | Tensor) -> Tensor:
        """Some of the images, (n, C, H, W) in [0, 1]: a slice, or (n,) indices."""
        if isinstance(which, slice):
            return self._made(range(self.count)[which])
        return torch.cat([self._made(range(number, number + 1)) for number in which.tolist()])

    def _made(self, numbers: range) -> Tensor:
        made = GARBAGE[self.kind](numbers, self.count, self.real, self.seed)
        return from_levels(to_levels(made))
