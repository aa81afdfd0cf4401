"""Run a command line: the only place that turns errors into messages and exit codes."""

import errno
import os
from contextlib import suppress
from typing import Any

from deceive.cli import commands, screen
from deceive.cli.parsing import with_dashes
from deceive.common.errors import InputError, LostProcessError

# Errors of the disk or of a given path: not bugs in deceive.
_OF_PLACES = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE),
    *(errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EISDIR, errno.ENOTDIR),
    *(errno.EMFILE, errno.ENFILE, errno.ENXIO),
}

# Texts of torch's out-of-memory errors.
_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def outcome(arguments: list[str]) -> int:
    """Run a command line, print any error, and return the exit code."""
    screen.take_any_text()
    try:
        code = _outcome(arguments)
        screen.flush()
    except BrokenPipeError:  # the reader of stdout or stderr has gone
        code = 141
    except OSError as error:  # stdout goes to a full disk
        code = 2
        with suppress(OSError):  # so may stderr
            screen.complain(_of_a_place(error))
    screen.silence()
    return code


def _outcome(arguments: list[str]) -> int:
    command = None
    try:
        try:
            with screen.of_others():
                command = commands.parse(arguments)
        except SystemExit as end:  # tyro has printed help or a syntax error
            return end.code if isinstance(end.code, int) else 2
        return _run(command)
    except InputError as error:
        said, code = str(error) if command is None else with_dashes(str(error), command), 2
    except LostProcessError as error:
        said, code = (
            f"{error}; run the same command again to resume rounds from their last checkpoint",
            4,
        )
    except KeyboardInterrupt:
        kept = "; finished work is kept, and the same command resumes"
        said, code = "interrupted" + (kept if command is not None and command.resumes else ""), 130
    except BrokenPipeError:
        raise
    except BaseException as error:  # SystemExit too: a model's code must not end an audit
        said, code = _of_the_machine(error), 2
        if not said:
            screen.trace(error)
            said, code = "this is a bug in deceive; please report it with the lines above", 70
    screen.complain(said)
    return code


def _run(command: Any) -> int:
    """Run a command, with the other processes if a launcher started some; returns its code.

    Only the main process prints, except for errors.
    """
    from deceive.common import processes

    processes.join(screen.log.print)
    here = processes.here()
    if here.count > 1 and not command.together:
        name = type(command).__name__.removesuffix("Command").lower()
        raise InputError(
            f"{name}: expected one process, got {here.count}; only train, fool, draw and rounds "
            "run on several"
        )
    screen.log.quiet = not here.is_main
    code: int = command.run()
    processes.leave()
    return code


def _of_the_machine(error: BaseException) -> str:
    """A sentence if the machine lacks memory or room; empty otherwise."""
    if isinstance(error, OSError) and error.errno in _OF_PLACES:
        return _of_a_place(error)
    torch_lacks = isinstance(error, RuntimeError) and any(w in str(error) for w in _OF_MEMORY)
    if isinstance(error, MemoryError) or torch_lacks:
        first = next(iter(str(error).splitlines()), "")
        return (
            "memory: expected enough for this command, got too little; try fewer or smaller images"
            + (f" ({first})" if first else "")
        )
    return ""


def _of_a_place(error: OSError) -> str:
    """A sentence about the file that an error names."""
    where = "output"
    if isinstance(error.filename, str | bytes | os.PathLike):
        where = os.fsdecode(error.filename)
    return f"{where}: expected a readable and writable path; {error.strerror}"
