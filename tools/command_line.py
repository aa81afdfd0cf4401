"""Writes `docs/reference/command-line.md` from the help of every command: `make reference`."""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deceive.cli.commands import COMMANDS
from deceive.cli.outcome import outcome
from deceive.common import markdown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "command-line.md"

# Command lines whose flags differ from those of the command alone.
_VARIANTS = {
    "train": ["train", "train --recipe detector"],
    "rounds": ["rounds", "rounds --preset resist", "rounds --preset study"],
}
_WIDTH = "100"  # in a wider window, tyro puts boxes side by side

_ABOUT = """\
# The command line

`deceive COMMAND --help` says the same. `--json` ends a command with one JSON object on stdout.
Flags may be written with dashes or underscores.

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | not every candidate was fooled, or an audit is above its limit |
| 2 | bad input, or no room to write |
| 3 | an audit is incomplete or has warnings |
| 4 | another process of `accelerate launch` or `torchrun` is gone |
| 70 | a bug in `deceive` |
| 130 | interrupted; `audit`, `guard`, `rounds` and `study` resume when repeated |
| 141 | the reader of stdout has gone |

This page is made from the commands themselves: `make reference`.
"""


class Group(NamedTuple):
    """A box of the help."""

    title: str
    about: str
    flags: list[tuple[str, str]]
    """Each with what it does."""


def help_of(line: str) -> str:
    """What `deceive LINE --help` prints."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH
    try:
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as said:
            outcome([*line.split(), "--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    said.seek(0)
    return said.read()


def groups(said: str) -> Iterator[Group]:
    """The boxes of a help, in their order.

    >>> said = "╭─ options ─╮\\n│ --seed INT  The seed. │\\n╰───╯\\n"
    >>> [*groups(said)]
    [Group(title='options', about='', flags=[('--seed INT', 'The seed.')])]
    """
    for title, box in re.findall(r"^╭─ (.+?) ─+╮$\n(.*?)^╰─+╯$", said, re.DOTALL | re.MULTILINE):
        lines = [line[2:-1].rstrip() for line in box.splitlines()]
        about = ""
        if len(lines) > 1 and set(lines[1]) == {"─"}:
            about, lines = lines[0], lines[2:]
        flags: list[tuple[str, str]] = []
        for line in lines:
            flag, _, does = line.partition("  ")
            if flag:
                flags.append((flag, does.strip()))
            else:
                flags[-1] = (flags[-1][0], f"{flags[-1][1]} {does.strip()}".strip())
        yield Group(title, about, flags)


def page() -> str:
    """The page."""
    parts = [_ABOUT]
    for name, about in COMMANDS.items():
        parts.append(f"\n## deceive {name}\n\n{about}\n")
        shown: list[Group] = []
        for line in _VARIANTS.get(name, [name]):
            said = help_of(line)
            if line != name:
                parts.append(f"\n### deceive {line}\n\nWhat differs:\n")
            else:
                usage = re.search(r"^usage: (.*)$", said, re.MULTILINE)
                parts.append(f"\n    {usage[1]}\n" if usage else "")
            found = [_without_help(each) for each in groups(said)]
            parts += [_table(each) for each in _new(found, shown, line)]
            shown = shown or found
    return "".join(parts)


def _without_help(group: Group) -> Group:
    return group._replace(flags=[each for each in group.flags if each[0] != "-h, --help"])


def _new(found: list[Group], shown: list[Group], line: str) -> Iterator[Group]:
    """The groups without the flags that were shown or set, of those that have any others."""
    known = {flag for group in shown for flag in group.flags}
    given = {word for word in line.split() if word.startswith("--")}
    for group in found:
        named = [each for each in group.flags if not given & set(re.split("[, ]+", each[0]))]
        if flags := [each for each in named if each not in known]:
            yield group._replace(flags=flags)


def _table(group: Group) -> str:
    head = {"positional arguments": "argument"}.get(group.title, "flag")
    about = f"\n{group.about}\n" if group.about else ""
    rows = ((_code(flag), _prose(does)) for flag, does in group.flags)
    return f"{about}\n{markdown.table((head, 'meaning'), rows)}\n"


def _prose(text: str) -> str:
    """A sentence in a cell of a table; what stands in backticks stays code."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(
        _code(part) if number % 2 else re.sub(r"([\\*_\[\]|$<])", r"\\\1", part)
        for number, part in enumerate(parts)
    )


def _code(text: str) -> str:
    return markdown.code(text).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
