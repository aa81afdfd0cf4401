"""Several measurements of one thing in a few characters: median, least and greatest."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

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
    """A number to this many significant digits, without an exponent; integers are kept whole."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:g}"


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Ratios of measurements that stood side by side, repeat for repeat."""
    return Spread.of(a / b for a, b in zip(over, under, strict=True))


def over_seeds(rows: Sequence[Row], field: str, *, percent: bool = False) -> str:
    """The median of a field with its range, or just the number if there is only one."""
    spread = Spread.of(row[field] * (100 if percent else 1) for row in rows)
    digits = 4 if percent else 3
    text = significant(spread.median, digits)
    if spread.greatest > spread.least:
        text = spread.text(digits)
    return text + "%" * percent


class Measure(NamedTuple):
    """A column of a table: its title, and the field of the rows that it shows."""

    title: str
    field: str
    percent: bool = False
    of_real: str = ""
    """The field with the same measure of real images, if there is one."""


def cells(rows: Sequence[Row], measures: Sequence[Measure]) -> list[str]:
    """What these rows have for each measure; empty where they have nothing."""
    return [
        over_seeds(having, each.field, percent=each.percent) if having else ""
        for each in measures
        for having in ([row for row in rows if each.field in row],)
    ]


def cells_of_real(rows: Sequence[Row], measures: Sequence[Measure]) -> list[str]:
    """What these rows say of real images for each measure; empty where they say nothing."""
    return [over_seeds(rows, each.of_real) if each.of_real else "" for each in measures]


def titles(measures: Sequence[Measure]) -> list[str]:
    """The titles of their columns."""
    return [each.title for each in measures]


def grouped(rows: Sequence[Row], *fields: str) -> dict[Any, list[Row]]:
    """Rows by a field, or by several as a tuple, in the order of their first ones."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        key = row[fields[0]] if len(fields) == 1 else tuple(row[field] for field in fields)
        groups.setdefault(key, []).append(row)
    return groups
