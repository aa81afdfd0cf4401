"""Guards around an audited model's code.

It can't overrun the budget, choose the exit code, or print among the results.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO

from deceive.auditing.budget import Budget
from deceive.cli import screen
from deceive.cli.supervised import leave


@contextmanager
def cut_off(limit: Budget, end: Callable[[], int]) -> Iterator[None]:
    """End the process if the block exceeds its budget by far, and makes no progress.

    An audit checks its budget between calls into the model. This ends calls that never return,
    because Python can't interrupt foreign code.

    Args:
        limit: its patience says when.
        end: called before the process ends; returns the exit code.
    """
    if limit.seconds is None:
        yield
        return
    watch = _Watch(limit, end)
    watch.begin()
    try:
        yield
    finally:
        watch.cease()


class _Watch:
    """Waits until a call counts as hanging, and ends the process then."""

    def __init__(self, limit: Budget, end: Callable[[], int]) -> None:
        self.limit, self.end, self.over = limit, end, False

    def begin(self) -> None:
        """Wait from now on."""
        patience = min(max(self.limit.patience, 0.0), threading.TIMEOUT_MAX)
        self.timer = threading.Timer(patience, self.up, (self.limit.heard,))
        self.timer.daemon = True
        self.timer.start()

    def cease(self) -> None:
        """Wait no more."""
        self.over = True
        self.timer.cancel()

    def up(self, heard: float) -> None:
        """End the process, unless the call made progress since `heard`."""
        if self.over:
            return
        if self.limit.heard == heard:
            _leave_after(self.end)
        self.begin()
        if self.over:  # it came back meanwhile
            self.timer.cancel()


def _leave_after(end: Callable[[], int]) -> None:
    code = 3
    try:
        code = end()
    finally:
        try:
            sys.stdout.flush()
        finally:  # even if that can't be written
            leave(code)


@contextmanager
def no_way_out() -> Iterator[None]:
    """Within the block, `os._exit` in this process is an error.

    Otherwise a model could end the command with 0, as if the audit had passed.
    """
    here, before = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:  # a child process may exit
            before(status)
        raise RuntimeError(f"os._exit({status}) during an audit")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = before


@contextmanager
def stdout_apart() -> Iterator[TextIO]:
    """Within the block what a model writes to stdout goes to stderr, and it can close neither.

    So a model that prints doesn't get between the lines of the results, and one that closes the
    streams doesn't look like a bug in deceive. After the block they are as before. The value is the
    real stdout, for what has to be said within the block; `screen.log` goes on printing.
    """
    streams = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    kept = {number: os.dup(number) for stream in streams.values() for number in _descriptor(stream)}
    for stream in streams.values():
        stream.close = lambda: None
    _flush(streams["stdout"])
    out, err = (_on(stream, kept) for stream in streams.values())
    theirs = _on(streams["stderr"], {number: os.dup(copy) for number, copy in kept.items()})
    for number in _descriptor(streams["stdout"]):
        for other in _descriptor(streams["stderr"]):
            os.dup2(other, number)
    sys.stdout = sys.stderr = theirs
    try:
        with screen.log.staying(err):
            yield out
    finally:
        for stream in (theirs, streams["stdout"]):
            _flush(stream)
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        for name, stream in streams.items():
            del stream.close
            setattr(sys, name, stream if _is_open(stream) else _reopened(name))


def _on(stream: TextIO, copies: dict[int, int]) -> TextIO:
    """A stream like it on the copy of its descriptor; the stream itself if it has none.

    The copy stays open with it, because a model may keep what it was given, in a logger.
    """
    for number in _descriptor(stream):
        return open(
            copies[number],
            "w",
            buffering=1,
            closefd=False,
            encoding=stream.encoding,
            errors=stream.errors,
        )
    return stream


def _flush(stream: TextIO) -> None:
    with suppress(ValueError):  # closed or detached
        stream.flush()


def _descriptor(stream: TextIO) -> list[int]:
    """Its file descriptor, if it has one."""
    try:
        return [stream.fileno()]
    except (OSError, ValueError):
        return []


def _is_open(stream: TextIO) -> bool:
    try:
        stream.flush()
    except ValueError:  # closed or detached further down
        return False
    return True


def _reopened(name: str) -> TextIO:
    number = {"stdout": 1, "stderr": 2}[name]
    return open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
