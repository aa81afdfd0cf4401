"""Pictures in one array."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.common.levels import Shape
from deceive.data.readers.layout import Layout, layout_of
from deceive.data.readers.reader import Pictures
from deceive.data.readers.values import LEVELS, Values, values_of

_SOME = 200
"""Pictures looked at, to learn what their values mean."""


class ArrayLike(Protocol):
    """An array in memory or on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, …)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its values."""
        ...

    def __getitem__(self, rows: Any, /) -> NDArray[Any]:
        """Some rows."""
        ...


@dataclass(frozen=True, eq=False)
class Levels(Pictures):
    """Pictures of one size, with values of any known range."""

    array: ArrayLike
    """(N, …)."""
    source: str
    """What a message calls the array."""
    layout: Layout
    values: Values = LEVELS

    def __len__(self) -> int:
        return self.array.shape[0]

    @property
    def shape(self) -> Shape:
        """(C, h, w) of every picture."""
        return self.layout.shape

    def one(self, row: int) -> Tensor:
        """A picture (C, h, w) uint8."""
        return self.several([row])[0]

    def several(self, rows: Sequence[int]) -> Tensor:
        """Pictures (n, C, h, w) uint8."""
        pictures = self.layout(self.array[np.asarray(rows, np.int64)])
        return torch.from_numpy(np.ascontiguousarray(self.values(pictures, self.source)))

    def name(self, row: int) -> str:
        """The array with the row."""
        return f"{self.source}[{row}]"


def levels_of(array: ArrayLike, source: str) -> Levels:
    """Pictures in an array of any known layout and range.

    Raises `InputError` for other shapes, types and values.
    """
    count = array.shape[0] if array.shape else 0
    some = None
    if count and (array.dtype != np.uint8 or len(array.shape) == 2):
        some = array[np.linspace(0, count - 1, min(_SOME, count)).astype(np.int64)]
    values = LEVELS if some is None else values_of(some, source)
    return Levels(array, source, layout_of(array.shape, source, some), values)
