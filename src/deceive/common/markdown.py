"""Markdown from untrusted text, which can't become a table, a link or HTML."""

import html
import re
from collections.abc import Sequence

_MARKS = re.compile(r"([\\`*_\[\]|~$])")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; each cell is one line."""
    lines = [columns, ["---"] * len(columns)]
    escaped = [[words(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in [*lines, *escaped])


def words(text: str) -> str:
    """Text on one line, with Markdown and HTML escaped.

    Unprintable characters (line breaks, control and direction characters) become spaces.
    """
    line = _on_one_line(text)
    return _MARKS.sub(r"\\\1", html.escape(line, quote=False))


def code(text: str) -> str:
    """Inline code, whatever characters it contains."""
    line = _on_one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def _on_one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
