"""The folder of a run: whose it is while a command works there."""

import errno
import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from deceive.errors import InputError
from deceive.files import check_writable, remove_temporaries, write_errors

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_LOCK = ".deceive-lock"

# What a system says of a lock that another process holds.
_HELD = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK}


@contextmanager
def claimed(folder: Path, *, fresh: bool) -> Iterator[None]:
    """A folder in which no other command works meanwhile; with `fresh`, a run in it is put aside.

    A file inside is locked, and removed in the end. The lock goes with its process, however that
    ends: a file that a kill leaves behind keeps out no one. A command that comes to nothing leaves
    no folder behind that it made.

    Raises:
        InputError: when another command works there, or when what is there is neither a run nor an
            empty folder; `WriteError` when nothing can be written there. All is as it was then.
    """
    from deceive.runs import check_place, holds_run  # which would make --help slow

    with ExitStack() as stack:
        with write_errors(folder):
            place = Path(os.path.realpath(folder))
            check_place(folder)
            check_writable(place / "rows.jsonl", streams=False)
            stack.callback(_remove_empty, _make(place))
            lock = stack.enter_context(ExitStack())
            lock.enter_context(_locked(place, folder))
            check_place(folder)  # another command may have worked there in the meantime
            remove_temporaries(place)
            if fresh and holds_run(place):
                if os.name == "nt":  # where a folder with an open file in it cannot be renamed
                    lock.close()
                _put_aside(place)
                place.mkdir()
                lock.enter_context(_locked(place, folder))
        yield


@contextmanager
def _locked(folder: Path, named: Path) -> Iterator[None]:
    """A folder locked for as long as the block lasts. Raises `InputError` where it is already."""
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
        else:  # whoever held it removed it just now
            with _locked(folder, named):
                yield
    finally:
        with suppress(OSError):  # a file that is left is no lock
            if _is_at(descriptor, path):
                path.unlink()
        os.close(descriptor)


def _opened(path: Path) -> int:
    """A descriptor of a lock's file, which is made where it isn't; no symlink is followed."""
    plain = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | plain, 0o666)
        if hasattr(os, "fchmod"):
            with suppress(OSError):  # another user shall be able to lock it, whatever the umask
                os.fchmod(descriptor, 0o666)
        return descriptor
    except FileExistsError:
        pass
    try:
        return os.open(path, os.O_RDWR | plain)
    except PermissionError:
        return os.open(path, os.O_RDONLY | plain)
    except FileNotFoundError:  # removed just now
        return _opened(path)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether this is still the file that is found at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it, and give the ones that were not there, the lowest first."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # there is something in it
            folder.rmdir()


def _put_aside(folder: Path) -> None:
    """Rename a folder to the first NAME.1, NAME.2, … that isn't; its lock is of no use there."""
    names = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(1))
    aside = folder.rename(next(name for name in names if not os.path.lexists(name)))
    (aside / _LOCK).unlink(missing_ok=True)
