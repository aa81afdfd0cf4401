"""A lock on a folder, for one process at a time."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deceive.common.errors import InputError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


LOCK = ".deceive-lock"
"""The name of the file that is locked."""

# Error codes for a lock held by another process.
_HELD = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}


@contextmanager
def locked(folder: Path, otherwise: str) -> Iterator[None]:
    """Lock a folder for the block.

    Locks a file in it, and removes that at the end. The lock ends with its process, so a file that
    a killed one leaves behind blocks nothing.

    Args:
        folder: an existing one.
        otherwise: what the error says.

    Raises:
        InputError: when another process has locked it.
        OSError: when the file can't be made.
    """
    path = folder / LOCK
    descriptor = _opened(path)
    try:
        _lock(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in _HELD:
            raise
        raise InputError(otherwise) from error
    try:
        if _is_at(descriptor, path):
            yield
        else:  # its holder has just removed it
            with locked(folder, otherwise):
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
