"""Writing files so that a reader finds the whole of the old one or the whole of the new one.

And reading JSON that somebody else may have written: whatever is wrong with it is one `InputError`.
"""

import errno
import json
import math
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deceive.errors import InputError, WriteError

# How the name of a temporary file begins and ends; nothing looks for files with this suffix.
_PREFIX, _SUFFIX = ".deceive-", ".tmp"

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}

# What Linux calls a descriptor of a process; /dev/stdout leads there.
_DESCRIPTOR = re.compile(r"/proc/(\d+)(?:/task/\d+)?/fd/(\d+)")

# What fsync says on a file system that has no such thing.
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}

# More than any file of ours holds, and little enough to be read whole.
LARGEST_JSON = 16 * 2**20

# How much of a file is read at once where it may be longer than it should.
_PIECE = 2**20

# Deeper than any file of ours; beyond some hundreds Python's own functions give up on it.
_DEEPEST_JSON = 50


@contextmanager
def replacing(path: Path, *, streams: bool = True) -> Iterator[Path]:
    """A temporary path, which takes the place of `path` when the block ends without an error.

    Missing folders are made. A symlink is followed: what it points to is replaced, or made. A file
    that is replaced keeps its permissions (access lists are not kept), and its owner where the
    system allows that; a new one gets what the umask leaves. Other hard links to the old file keep
    the old content. With `streams`, a FIFO or a character device such as /dev/stdout is written
    to at the end.

    Raises `WriteError` for a folder or another thing that is no place for a file, for a read-only
    file, and for whatever the system refuses while the file is written (a full disk, a limit).
    """
    with write_errors(path):
        place = _Place.of(path, streams=streams)
        if not place.is_stream:
            place.nearest_folder()
            place.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(
            Path(tempfile.gettempdir()) if place.is_stream else place.path.parent
        )
    try:
        with write_errors(path):
            yield temporary
            place.take(temporary)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` in one go. Raises `WriteError` as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: Path, *, streams: bool = True) -> None:
    """Raise the `WriteError` that `replacing` would, before any work is done for the file.

    Leaves nothing behind, and makes no folders: the nearest one that is there is tried.
    """
    with write_errors(path):
        place = _Place.of(path, streams=streams)
        if place.is_stream:
            return
        _temporary(place.nearest_folder()).unlink()


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Within the block, what the system refuses is a `WriteError` about `path`.

    A name that pages and tables could not hold is one too.
    """
    if "\0" in str(path) or not _is_utf8(str(path)):
        raise WriteError(
            f"--out: expected a path in UTF-8 without a null character, got {str(path)!r}"
        )
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: expected a writable path; {error.strerror or error}") from error


def remove_temporaries(folder: Path) -> None:
    """Remove what writing into `folder`, or below, left behind when it was killed."""
    for path in folder.rglob(f"{_PREFIX}*{_SUFFIX}"):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Place:
    """Where a write goes, and what is there now."""

    path: Path
    """With all symlinks followed, unless it is a stream."""
    there: os.stat_result | None
    """None for nothing."""
    descriptor: int | None
    """Of this process, where the path is the name of one."""
    is_stream: bool
    """Whether it is written to, in place of being replaced."""

    @classmethod
    def of(cls, path: Path, *, streams: bool) -> "_Place":
        """Follow `path`. Raises `WriteError` for what can neither be replaced nor written to."""
        resolved = Path(os.path.realpath(path))
        try:
            there = path.stat()
        except FileNotFoundError:
            return cls(resolved, None, None, is_stream=False)
        descriptor, mode = _descriptor(path), there.st_mode
        is_stream = descriptor is not None or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)
        if not (is_stream and streams) and not (stat.S_ISREG(mode) and not is_stream):
            kind = _KINDS.get(stat.S_IFMT(mode), "something else")
            raise WriteError(f"{path}: expected a file or a new path, got {kind}")
        if not os.access(path, os.W_OK):
            raise WriteError(f"{path}: expected a writable file; it is read-only")
        return cls(path if is_stream else resolved, there, descriptor, is_stream)

    def nearest_folder(self) -> Path:
        """The nearest one above that is there. `OSError` for a name below it that is too long."""
        folder, missing = self.path.parent, [self.path.name]
        while not folder.exists():
            missing.append(folder.name)
            folder = folder.parent
        for name in missing:
            with suppress(FileNotFoundError):
                (folder / name).lstat()
        return folder

    def take(self, temporary: Path) -> None:
        """Put what is in `temporary` here."""
        if self.is_stream:
            self._pour(temporary)
            return
        if self.there is not None:
            _make_alike(temporary, self.there)
        with temporary.open("r+b") as written:  # Windows syncs no file that is open for reading
            try:
                os.fsync(written.fileno())
            except OSError as error:
                if error.errno not in _NO_FSYNC:
                    raise
        temporary.replace(self.path)

    def _pour(self, temporary: Path) -> None:
        if self.descriptor is None:
            opened = os.open(self.path, os.O_WRONLY)
        else:
            sys.stdout.flush()
            opened = os.dup(self.descriptor)  # which goes on from where the descriptor is
        with temporary.open("rb") as content, os.fdopen(opened, "wb") as stream:
            shutil.copyfileobj(content, stream)


def _temporary(folder: Path) -> Path:
    """A new empty file with the permissions that the umask leaves."""
    while True:
        path = folder / f"{_PREFIX}{secrets.token_hex(6)}{_SUFFIX}"
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path


def _make_alike(path: Path, like: os.stat_result) -> None:
    """Give a file the owner and the permissions of another, as far as the system has such."""
    made = path.stat()
    if hasattr(os, "chown") and (made.st_uid, made.st_gid) != (like.st_uid, like.st_gid):
        with suppress(PermissionError):  # only root may give files away
            os.chown(path, like.st_uid, like.st_gid)
    if (mode := like.st_mode & 0o777) != made.st_mode & 0o777:
        with suppress(OSError, NotImplementedError):  # there are none on vfat
            path.chmod(mode)


def _descriptor(path: Path) -> int | None:
    """Which descriptor of this process a path leads to, if one."""
    while True:
        path = Path(os.path.realpath(path.parent)) / path.name
        named = _DESCRIPTOR.fullmatch(str(path))
        if named is not None:
            return int(named[2]) if int(named[1]) == os.getpid() else None
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()


def _is_utf8(text: str) -> bool:
    """Whether it can be encoded; names of files need not be, but pages and tables name them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_json(path: Path, expected: str = "a JSON object") -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: a file of at most 16 MiB, UTF-8.
        expected: what it should be, for the error's sentence.

    Raises:
        InputError: when it cannot be read, is too large, or isn't what `parse_json` takes.
    """
    return parse_json(read_bounded(path, LARGEST_JSON, expected), str(path), expected)


@contextmanager
def read_errors(path: Path, expected: str = "a readable path") -> Iterator[None]:
    """Within the block, what the system refuses is an `InputError` about `path`.

    Looking whether something is there is reading too: a folder may be closed, a name too long.
    """
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: expected {expected}; {reason}") from error


def read_bounded(path: Path, most: int, expected: str) -> bytes:
    """The content of a file, of which no more than `most` bytes are ever read.

    Raises `InputError` when it holds more, or cannot be read.
    """
    with read_errors(path, expected), path.open("rb") as file:
        # In pieces, since a buffer for all that is asked for is made at once.
        pieces, left = [], most + 1
        while left and (piece := file.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise InputError(f"{path}: expected {expected}, at most {most:,} bytes, got more")
    return b"".join(pieces)


def parse_json(text: bytes, where: str, expected: str = "a JSON object") -> dict[str, Any]:
    """The JSON object in `text` (UTF-8), which stands at `where`.

    Raises `InputError` when it is no object, has a key twice, a number that isn't finite, text that
    isn't Unicode, or is nested more than 50 deep.
    """
    try:
        content = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_finite,
            parse_float=_finite,
        )
        if _is_deeper(content, _DEEPEST_JSON):
            raise RecursionError
        if b"\\u" in text:  # half of a surrogate pair can be escaped, and never written again
            json.dumps(content, ensure_ascii=False).encode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise InputError(f"{where}: expected {expected} in UTF-8; {error.reason}") from error
    except ValueError as error:
        raise InputError(f"{where}: expected {expected}; {str(error).split(';')[0]}") from error
    except RecursionError as error:
        raise InputError(
            f"{where}: expected {expected} nested at most {_DEEPEST_JSON} deep, got deeper nesting"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected {expected}, got {type(content).__name__}")
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:100]!r} appears twice")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _is_deeper(content: Any, most: int) -> bool:
    level: list[Any] = [content]
    for _ in range(most + 1):
        level = [inner for each in level for inner in _inside(each)]
    return bool(level)


def _inside(content: Any) -> Iterable[Any]:
    if isinstance(content, dict):
        return content.values()
    return content if isinstance(content, list) else ()
