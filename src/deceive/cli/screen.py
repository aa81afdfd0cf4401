"""What a user sees: messages and progress on stderr, results on stdout.

Text is shown literally: no markup, no emoji names; control characters are shown as escapes.
"""

import io
import json
import os
import re
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import IO, Any, TextIO

from rich.console import Console, ConsoleDimensions
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


def visible(text: str) -> str:
    """The text on one line, with an escape such as \\x1b for each unprintable character.

    These include terminal escapes, newlines, and characters that change the writing direction.
    """
    return "".join(
        each
        if each.isprintable() or unicodedata.category(each) == "Zs"
        else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


# The width where there is no terminal: longer than any line.
_ENDLESS = 10_000


class Screen(Console):
    """A console that prints each string literally, on one line.

    A terminal wraps long lines. In a file or a pipe they stay whole, unless COLUMNS is set.
    """

    def __init__(self, *, stderr: bool = False, file: TextIO | None = None) -> None:
        super().__init__(stderr=stderr, file=file, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every printed string and table cell passes through here."""
        return super().render_str(visible(text), **options)

    @property  # type: ignore[misc]  # nothing sets it
    def size(self) -> ConsoleDimensions:
        """The terminal's; else as many columns as a line needs."""
        size = super().size
        if self.is_terminal or "COLUMNS" in os.environ:
            return size
        return ConsoleDimensions(_ENDLESS, size.height)

    @contextmanager
    def staying(self, file: TextIO) -> Iterator[None]:
        """Within the block it prints to this file, whatever becomes of stdout and stderr."""
        self._file: IO[str] | None = file
        try:
            yield
        finally:
            self._file = None

    def on_broken_pipe(self) -> None:
        """Leave the error to `outcome`: rich would exit with 1."""
        raise  # called from within the error's handler


log = Screen(stderr=True)
results = Screen()


@contextmanager
def task(description: str, *, transient: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr during the block; a transient one is removed at the end.

    It is also removed if the block raises an error. The block gets a function of (done, total) and,
    optionally, a few words on the state of things.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    # Without animation, a transient bar leaves an empty line.
    hidden = transient and not log.is_terminal
    progress = Progress(*columns, console=log, transient=transient, disable=hidden)
    bar = progress.add_task(visible(description), note="")

    def report(done: float, total: float, note: str = "") -> None:
        progress.update(bar, completed=done, total=total, note=visible(note))

    progress.start()
    try:
        yield report
        progress.update(bar, completed=progress.tasks[0].total)
    except BaseException:
        progress.live.transient = True
        progress.update(bar, visible=False)
        progress.live.stop()  # `Progress.stop` would leave an empty line
        raise
    progress.stop()


def show(text: str, summary: dict[str, Any], as_json: bool, note: str | None = None) -> None:
    """Print a result: `text` and a note, or `summary` as the last line of stdout."""
    lines = [text] if note is None else [text, note]
    for line in lines:
        if as_json:
            log.print(line)
        else:
            print(visible(line))
    if as_json:
        print(json.dumps(summary))


def complain(words: str) -> None:
    """Print an error message, in any process."""
    log.quiet = False
    log.print(f"deceive: {words}", style="bold red", soft_wrap=True)


def trace(error: BaseException) -> None:
    """Print the traceback of an error, in any process."""
    log.quiet = False
    for part in traceback.format_exception(error):
        for line in part.splitlines():
            log.print(line, soft_wrap=True)


@contextmanager
def of_others() -> Iterator[None]:
    """Within the block, stderr of other code keeps its colours; other escapes are shown."""
    written = io.StringIO()
    try:
        with redirect_stderr(written):
            yield
    finally:
        for line in written.getvalue().splitlines():
            parts = re.split(r"(\x1b\[[0-9;]*m)", line)  # every second part is a colour
            shown = (part if n % 2 else visible(part) for n, part in enumerate(parts))
            print(*shown, sep="", file=sys.stderr)


def take_any_text() -> None:
    """Make stdout and stderr write an escape for each character that their encoding lacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the parent
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def flush() -> None:
    """Flush the buffers. Raises `OSError` if that fails."""
    sys.stdout.flush()
    sys.stderr.flush()


def silence() -> None:
    """Drop unwritable output, on which the interpreter would fail at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
