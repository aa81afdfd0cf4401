"""What a user sees: words and progress on stderr, results on stdout."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

log = Console(stderr=True)


@contextmanager
def task(description: str, *, transient: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr for as long as the block lasts; a transient one then goes.

    What it gives takes (done, total), and a few words on how things stand if there are any.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    # Where nobody watches, a bar that goes leaves an empty line.
    hidden = transient and not log.is_terminal
    with Progress(*columns, console=log, transient=transient, disable=hidden) as progress:
        bar = progress.add_task(description, note="")

        def report(done: float, total: float, note: str = "") -> None:
            progress.update(bar, completed=done, total=total, note=note)

        yield report


def show(text: str, summary: dict[str, Any], as_json: bool) -> None:
    """What came of it: `text` for a reader, or `summary` as the last line of stdout."""
    if as_json:
        log.print(text, markup=False)
        print(json.dumps(summary))
    else:
        print(text)


def complain(words: str) -> None:
    """Say what went wrong, whichever process this is."""
    log.quiet = False
    log.print(f"deceive: {words}", style="bold red", markup=False, highlight=False, soft_wrap=True)
