"""Tables of the pages; on a phone each row is a card, and in print they fit the paper."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """A table of text, whose first cells name the rows."""

    label: str
    """For readers who don't see it."""
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    best: int | None = None
    """The row to stress."""
    dense: bool = False
    """Whether it has many columns."""
