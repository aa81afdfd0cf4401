"""The folder of a run: whose it is while a command works there."""

import errno
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from deceive.common.errors import InputError
from deceive.common.files import check_writable, remove_temporaries, write_errors
from deceive.storage.places import check_place, holds_run

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_LOCK = ".deceive-lock"

# Error codes for a lock held by another process.
_HELD = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}


@contextmanager
def claimed(folder: Path, *, fresh: bool) -> Iterator[None]:
    """Lock a folder against other commands; with `fresh`, put a run in it aside first.

    Locks a file inside, and removes it at the end. The lock ends with its process, so a file left
    behind by a kill blocks nothing. A command that fails at once leaves no new folders behind.

    Raises:
        InputError: when another command uses the folder, or it is neither a run nor empty;
            `WriteError` when it is not writable. Either way nothing has changed.
    """
    with ExitStack() as stack:
        with write_errors(folder):
            place = Path(os.path.realpath(folder))
            check_place(folder)
            check_writable(place / "rows.jsonl", streams=False)
            stack.callback(_remove_empty, _make(place))
            lock = stack.enter_context(ExitStack())
            lock.enter_context(_locked(place, folder))
            check_place(folder)  # another command may have used it in the meantime
            remove_temporaries(place)
            if fresh and holds_run(place):
                if os.name == "nt":  # can't rename a folder that contains an open file
                    lock.close()
                _put_aside(place)
                place.mkdir()
                lock.enter_context(_locked(place, folder))
        yield


@contextmanager
def _locked(folder: Path, named: Path) -> Iterator[None]:
    """Lock a folder for the block. Raises `InputError` if it is locked already."""
    path = folder / _LOCK
    descriptor = _opened(path)
    try:
        _lock(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in _HELD:
            raise
        raise InputError(
            "--out: expected a folder that no other command is using, got "
            f"{named}; wait until that command ends, or choose another folder"
        ) from error
    try:
        if _is_at(descriptor, path):
            yield
        else:  # its holder has just removed it
            with _locked(folder, named):
                yield
    finally:
        with suppress(OSError):  # a leftover file locks nothing
            if _is_at(descriptor, path):
                path.unlink()
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Open a lock file, creating it if missing; follows no symlink."""
    plain = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | plain, 0o666)
        if hasattr(os, "fchmod"):
            with suppress(OSError):  # other users may lock it too, whatever the umask
                os.fchmod(descriptor, 0o666)
        return descriptor
    except FileExistsError:
        pass
    try:
        return os.open(path, os.O_RDWR | plain)
    except PermissionError:
        return os.open(path, os.O_RDONLY | plain)
    except FileNotFoundError:  # just removed
        return _opened(path)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` still leads to this file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents; return the new ones, deepest first."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty
            folder.rmdir()


def _put_aside(folder: Path) -> None:
    """Rename a folder to the first free NAME.1, NAME.2, …, without its lock file."""
    names = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(1))
    aside = folder.rename(next(name for name in names if not os.path.lexists(name)))
    (aside / _LOCK).unlink(missing_ok=True)
