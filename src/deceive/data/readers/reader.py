"""What a reader of one layout is, and what it gives: labelled pictures, by split."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from torch import Tensor

from deceive.common.levels import Shape

PartName = Literal["train", "validation", "test", "all"]
"""What a layout says some pictures are for; `all` if it doesn't say."""


class UnreadableError(Exception):
    """One picture can't be read; says why."""


class Pictures(ABC):
    """Pictures of any sizes, read one by one when they are asked for."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of pictures."""

    @abstractmethod
    def one(self, row: int) -> Tensor:
        """A picture (C, h, w) uint8: grey, grey and alpha, colour, or colour and alpha.

        Raises `UnreadableError` when it is damaged.
        """

    @abstractmethod
    def name(self, row: int) -> str:
        """What a message calls a picture."""

    @property
    def shape(self) -> Shape | None:
        """(C, h, w) of every picture, where it is known without reading one."""
        return None

    def several(self, rows: Sequence[int]) -> Tensor | None:
        """Pictures (n, C, h, w) uint8 at once, where they are kept as one array; else None."""
        return None


@dataclass(frozen=True, eq=False)
class Part:
    """Pictures of one purpose with their labels."""

    pictures: Pictures
    labels: NDArray[Any]
    """(N,) whole numbers or names; (N, 1), or one column for each class with a single 1."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a reader found at a place."""

    parts: Mapping[PartName, Part]
    checksum: str
    """SHA-256 that identifies the data."""
    class_names: Sequence[str] = ()
    """The names of labels 0, 1, …, if the layout has them."""
    notes: tuple[str, ...] = ()
    lost: Mapping[str, str] = field(default_factory=dict)
    """Why some pictures can't be read, by name, where listing them shows it."""
    in_order: bool = False
    """Whether pictures keep their order, and validation images are the last to train with."""
    check: Callable[[], None] = lambda: None
    """Raises `InputError` for labels that aren't classes, where the layout knows which file."""


@dataclass(frozen=True)
class Reader:
    """One layout of labelled pictures on disk."""

    name: str
    """In words, for the list of known layouts."""
    example: str
    """What it looks like."""
    recognises: Callable[[Path], bool]
    """Whether a place looks like it; quick, and reads no pictures."""
    read: Callable[[Path], Found]
    """Raises `InputError` when files are missing or damaged."""
