"""Guards around an audited model's code: it can't overrun the budget, or choose the exit code."""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from deceive.cli.supervised import leave
from deceive.common import checks

# A model hangs once the budget is overrun by as much again, and by so many seconds.
_OVERRUN = 60.0


@contextmanager
def cut_off(budget: float | None, end: Callable[[], int]) -> Iterator[None]:
    """End the process if the block outlives the budget (seconds) by far.

    An audit looks at its budget between calls into the model. Nothing else ends a call that never
    returns: Python can't interrupt foreign code.

    Args:
        budget: None for no limit.
        end: what to do then; gives the exit code.
    """
    if budget is None:
        yield
        return
    checks.open_interval("budget", budget, 0, float("inf"))
    patience = min(budget + max(budget, _OVERRUN), threading.TIMEOUT_MAX)
    timer = threading.Timer(patience, _leave_after, (end,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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
