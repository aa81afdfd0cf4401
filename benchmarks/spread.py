"""Several measurements of one thing in a few characters: median, least and greatest."""

import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.contest import Row


class Spread(NamedTuple):
    """The median of several measurements, and how far they lie apart."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of at least one value."""
        listed = list(values)
        return cls(statistics.median(listed), min(listed), max(listed))

    def text(self, digits: int = 3) -> str:
        """Such as `8.1 (7.9–8.4)`, each to `digits` significant ones."""
        return (
            f"{significant(self.median, digits)} "
            f"({significant(self.least, digits)}–{significant(self.greatest, digits)})"
        )


def significant(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent; whole ones are kept whole."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:g}"


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Ratios of measurements that stood side by side, repeat for repeat."""
    return Spread.of(a / b for a, b in zip(over, under, strict=True))


def over_seeds(rows: Sequence[Row], field: str, *, percent: bool = False) -> str:
    """The median of a field with its range, or just the number where there is only one."""
    spread = Spread.of(row[field] * (100 if percent else 1) for row in rows)
    digits = 4 if percent else 3
    text = significant(spread.median, digits)
    if spread.greatest > spread.least:
        text = spread.text(digits)
    return text + "%" * percent
