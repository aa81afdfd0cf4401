"""Run a command in a child process, so that a model's code can't choose the exit code.

A model can end its process at any moment and with any code: by `os._exit`, by `os.execv`, in C, or
in an exit handler. The parent therefore returns only a code that the child has sent it.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

from deceive.cli import screen

# Taken before any model can replace it.
_exit = os._exit

# Signals that ask a process to end, and are passed on to the child.
_ENDING = [signal.SIGINT, signal.SIGTERM]
if sys.platform != "win32":
    _ENDING.append(signal.SIGHUP)

# Where a child sends its exit code; None in a process without a supervisor.
_supervisor: int | None = None


def supervised(work: Callable[[], int]) -> int:
    """Run `work` in a child process and return its exit code.

    Returns 2 if the child ends without having sent one, and 128 + N if signal N killed it. The
    child dies with its parent. Where there is no fork, `work` runs in this process.
    """
    if not hasattr(os, "fork"):
        return work()
    codes, sends = os.pipe()  # neither end survives an exec
    lives, parent = os.pipe()
    passed_on = {each for each in _ENDING if signal.getsignal(each) is not signal.SIG_IGN}
    # Blocked from before the child exists: none is lost between its beginning and the wait for it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*passed_on, signal.SIGCHLD})
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(codes)
        os.close(parent)
        _work_for(sends, lives, work)
    os.close(sends)
    os.close(lives)
    status = _wait(child, passed_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.set_blocking(codes, False)  # the model's own child processes may hold the other end
    try:
        sent = os.read(codes, 16)
    except BlockingIOError:
        sent = b""
    os.close(codes)
    os.close(parent)
    return int(sent) if sent else _without_a_code(os.waitstatus_to_exitcode(status))


def leave(code: int) -> NoReturn:
    """End this process at once, with this exit code, which the supervisor believes."""
    if _supervisor is not None:
        os.write(_supervisor, str(code).encode())
    _exit(code)


def _work_for(supervisor: int, lives: int, work: Callable[[], int]) -> NoReturn:
    global _supervisor
    _supervisor = supervisor
    threading.Thread(target=_end_with_parent, args=(lives,), daemon=True).start()
    code = 70
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
    leave(code)


def _end_with_parent(lives: int) -> None:
    """Wait for the end of a pipe that only the parent holds open."""
    os.read(lives, 1)
    _exit(137)


def _wait(child: int, passed_on: set[signal.Signals]) -> int:
    """Wait for the child, forward signals to it meanwhile, and give its status.

    All of these signals are blocked. A terminal sends Ctrl+C to the child itself.
    """
    while True:
        number = signal.sigwait({*passed_on, signal.SIGCHLD})
        if number == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
        elif number != signal.SIGINT or not _in_foreground():
            os.kill(child, number)


def _in_foreground() -> bool:
    """Whether this process group gets what is typed at a terminal."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno()) == os.getpgrp() if sys.__stdin__ else False
    except (OSError, ValueError):
        return False


def _without_a_code(ended: int) -> int:
    if ended < 0:
        screen.complain(f"killed by {signal.Signals(-ended).name}; finished work is kept")
        return 128 - ended
    screen.complain(
        "model: expected code that lets the audit finish, but it ended the process "
        f"(exit code {ended})"
    )
    return 2
