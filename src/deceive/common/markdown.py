"""Markdown tables, and untrusted text in Markdown, where it can't become a link or HTML."""

import html
import re
from collections.abc import Iterable, Sequence

_MARKS = re.compile(r"([\\`*_\[\]|~$])")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, one row a line, without a line break at its end.

    Every cell is Markdown: put untrusted text through `words` or `code` first.

    >>> from deceive.common.markdown import code, table
    >>> print(table(("network", "accuracy"), [(code("fast"), "99.6%")]))
    | network | accuracy |
    | --- | --- |
    | `fast` | 99.6% |
    """
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def words(text: str) -> str:
    """Text on one line, with Markdown and HTML escaped.

    Unprintable characters (line breaks, control and direction characters) become spaces.

    >>> from deceive.common.markdown import words
    >>> words("a|b <c>")
    'a\\\\|b &lt;c&gt;'
    """
    line = _on_one_line(text)
    return _MARKS.sub(r"\\\1", html.escape(line, quote=False))


def code(text: str) -> str:
    """Inline code, whatever characters it contains.

    >>> from deceive.common.markdown import code
    >>> code("a`b")
    '`` a`b ``'
    """
    line = _on_one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def _on_one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
