"""Markdown whose words may be anybody's: what they say can't become a table, a link or HTML."""

import html
import re
from collections.abc import Sequence

_MARKS = re.compile(r"([\\`*_\[\]|~$])")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain words, a line for each row."""
    lines = [columns, ["---"] * len(columns)]
    escaped = [[words(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in [*lines, *escaped])


def words(text: str) -> str:
    """Plain words on one line, each mark of Markdown's and HTML's as itself.

    What isn't printable (line breaks, control characters, changes of direction) becomes a space.
    """
    line = _on_one_line(text)
    return _MARKS.sub(r"\\\1", html.escape(line, quote=False))


def code(text: str) -> str:
    """Code within a line, whatever marks are in it."""
    line = _on_one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def _on_one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
