"""Pictures that can't be read: counted, named, and refused when they are many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deceive.common.checks import counted, few, on_one_line
from deceive.common.errors import InputError

_FEW = 2
"""Unreadable pictures that are accepted however few have been read, if the data have enough."""


@dataclass(eq=False)
class Losses:
    """Pictures that couldn't be read, among all that were tried."""

    total: int
    """Pictures in the data."""
    where: str
    tried: set[tuple[int, int]] = field(default_factory=set)
    why: dict[str, str] = field(default_factory=dict)
    """What is wrong with each, by its name."""

    known: int = 0
    """How many of these were seen when the pictures were listed."""

    def know(self, reasons: Mapping[str, str]) -> None:
        """Count those seen while listing; raises `InputError` when they are more than 1% of all."""
        self.why.update({on_one_line(name): reason for name, reason in reasons.items()})
        self.known = len(self.why)
        if self.known > max(_FEW, self.total / 100):
            raise InputError(
                f"{self.where}: expected at most 1% of the pictures to be unreadable, got "
                f"{self.known:,} of {self.total:,}: {self._named()}"
            )

    def add(self, name: str, reason: str) -> None:
        """Count one; raises `InputError` when they are more than 1%."""
        self.why.setdefault(on_one_line(name), on_one_line(reason, 100))
        lost = len(self.why)
        if lost > self.total / 100 or lost - self.known > max(_FEW, len(self.tried) / 100):
            raise InputError(
                f"{self.where}: expected at most 1% of the pictures to be unreadable, got "
                f"{lost:,} of the first {len(self.tried):,}: {self._named()}"
            )

    @property
    def note(self) -> tuple[str, ...]:
        """A sentence that counts and names them, if there are any."""
        if not self.why:
            return ()
        among = f"the {self.total:,}" if self.known else f"the first {len(self.tried):,}"
        return (
            f"{counted(len(self.why), 'picture')} of {among} can't be read, "
            f"and others of the same class replace them: {self._named()}",
        )

    def _named(self) -> str:
        return few([f"{name} ({reason})" for name, reason in self.why.items()])


class Notes(Sequence[str]):
    """What was noticed about data; it grows with the pictures that can't be read."""

    def __init__(self, found: tuple[str, ...], losses: Losses) -> None:
        """What was noticed on opening, and what may come."""
        self._found, self._losses = found, losses

    def __len__(self) -> int:
        return len(self._found) + len(self._losses.note)

    def __getitem__(self, index: Any) -> Any:
        return (*self._found, *self._losses.note)[index]

    def __repr__(self) -> str:
        return repr([*self])
