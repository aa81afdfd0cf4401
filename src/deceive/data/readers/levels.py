"""Pictures in an array of 8-bit levels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.data.readers.reader import Pictures


@dataclass(frozen=True, eq=False)
class Levels(Pictures):
    """8-bit pictures of one size."""

    array: NDArray[np.uint8]
    """(N, C, h, w)."""
    source: str
    """What a message calls the array."""

    def __len__(self) -> int:
        return len(self.array)

    def one(self, row: int) -> Tensor:
        """A picture (C, h, w) uint8."""
        return torch.from_numpy(self.array[row].copy())

    def several(self, rows: Sequence[int]) -> Tensor:
        """Pictures (n, C, h, w) uint8."""
        return torch.from_numpy(self.array[np.asarray(rows, np.int64)])

    def name(self, row: int) -> str:
        """The array with the row."""
        return f"{self.source}[{row}]"
