"""The folder of a run: whose it is while a command works there."""

import hashlib
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deceive.errors import InputError


@contextmanager
def claimed(folder: Path, *, fresh: bool) -> Iterator[None]:
    """A folder in which no other command works meanwhile; with `fresh` what is there is put aside.

    That is known on one machine, by a lock among its temporary files: a command that comes to
    nothing leaves nothing where runs are. Raises `InputError` when another one works there.
    """
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    lock = FileLock(Path(tempfile.gettempdir()) / f"deceive-{name}.lock")
    try:
        lock.acquire(blocking=False)
    except (Timeout, PermissionError) as error:  # the latter where the other one is another user's
        raise InputError(
            f"--out: expected a folder in which no other command is at work, got {folder}; wait "
            "until that one has ended, or choose another folder"
        ) from error
    try:
        if fresh:
            _put_aside(folder)
        yield
    finally:
        lock.release()


def _put_aside(folder: Path) -> None:
    """Rename a folder that is there to the first NAME.1, NAME.2, … that isn't."""
    if folder.exists():
        names = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(1))
        folder.rename(next(name for name in names if not name.exists()))
