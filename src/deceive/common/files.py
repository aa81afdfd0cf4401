"""Atomic writes: a reader sees the whole old file or the whole new one.

Also reads untrusted JSON: anything wrong with it is one `InputError`.
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
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deceive.common.errors import InputError, WriteError

# Prefix and suffix of temporary files; no other code looks for this suffix.
_PREFIX, _SUFFIX = ".deceive-", ".tmp"

# Hexadecimal digits between them.
_RANDOM = 12

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}

# Seconds after which a temporary file counts as left by a killed write. A write takes seconds.
_STALE = 24 * 3600

# Linux's paths of a process's descriptors; /dev/stdout leads there.
_DESCRIPTOR = re.compile(r"/proc/(\d+)(?:/task/\d+)?/fd/(\d+)")

# Error codes of fsync on file systems without it.
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}

# Larger than any file of ours, and small enough to read at once.
LARGEST_JSON = 16 * 2**20

# Bytes to read at once from a file of unknown length.
_PIECE = 2**20

# Deeper than any file of ours; Python's own functions fail beyond some hundreds.
_DEEPEST_JSON = 50


@contextmanager
def replacing(path: Path, *, streams: bool = True) -> Iterator[Path]:
    """A temporary path that replaces `path` when the block ends without an error.

    Missing folders are made. Symlinks are followed: their target is replaced or made. A replaced
    file keeps its permissions (but not access lists), and its owner if the system allows that; a
    new one gets the umask's. Other hard links to the old file keep the old content. With `streams`,
    a FIFO or a character device such as /dev/stdout is written to at the end.

    Raises `WriteError` for a folder or anything else that isn't a file, for a read-only file, and
    for system errors while writing (a full disk, a quota).
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
    """Write `text` (UTF-8) to `path` atomically. Raises `WriteError` as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: Path, *, streams: bool = True) -> None:
    """Raise the `WriteError` that `replacing` would raise, before any work is done.

    Leaves nothing behind and makes no folders: it tests the nearest existing one. Removes temporary
    files beside `path` that killed writes left there more than a day ago.
    """
    with write_errors(path):
        place = _Place.of(path, streams=streams)
        if place.is_stream:
            return
        folder = place.nearest_folder()
        _temporary(folder).unlink()
        _remove_stale(folder)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Within the block, a system error becomes a `WriteError` about `path`.

    So does a path that isn't valid UTF-8, which pages and tables can't show.
    """
    if "\0" in str(path) or not _is_utf8(str(path)):
        raise WriteError(
            f"output: expected a path in UTF-8 without a null character, got {str(path)!r}"
        )
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: expected a writable path; {error.strerror or error}") from error


def remove_temporaries(folder: Path) -> None:
    """Remove temporary files that killed writes left in or below `folder`."""
    for path in folder.rglob(f"{_PREFIX}*{_SUFFIX}"):
        path.unlink(missing_ok=True)


def _remove_stale(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}{'[0-9a-f]' * _RANDOM}{_SUFFIX}"):
        with suppress(OSError):  # gone by now, or another user's
            there = path.lstat()
            if stat.S_ISREG(there.st_mode) and time.time() - there.st_mtime > _STALE:
                path.unlink()


@dataclass(frozen=True)
class _Place:
    """The destination of a write, and what is there now."""

    path: Path
    """Without symlinks, unless it is a stream."""
    there: os.stat_result | None
    """None if nothing is there."""
    descriptor: int | None
    """The descriptor of this process that the path names, if any."""
    is_stream: bool
    """Whether it is written to instead of replaced."""

    @classmethod
    def of(cls, path: Path, *, streams: bool) -> "_Place":
        """Resolve `path`. Raises `WriteError` if it can be neither replaced nor written to."""
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
        """The nearest existing folder above. Raises `OSError` for a name that is too long."""
        folder, missing = self.path.parent, [self.path.name]
        while not folder.exists():
            missing.append(folder.name)
            folder = folder.parent
        for name in missing:
            with suppress(FileNotFoundError):
                (folder / name).lstat()
        return folder

    def take(self, temporary: Path) -> None:
        """Move `temporary` here."""
        if self.is_stream:
            self._pour(temporary)
            return
        if self.there is not None:
            _make_alike(temporary, self.there)
        with temporary.open("r+b") as written:  # Windows can't sync files opened for reading
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
            opened = os.dup(self.descriptor)  # continues at the descriptor's position
        with temporary.open("rb") as content, os.fdopen(opened, "wb") as stream:
            shutil.copyfileobj(content, stream)


def _temporary(folder: Path) -> Path:
    """A new empty file with the umask's permissions."""
    while True:
        path = folder / f"{_PREFIX}{secrets.token_hex(_RANDOM // 2)}{_SUFFIX}"
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path


def _make_alike(path: Path, like: os.stat_result) -> None:
    """Copy owner and permissions to another file, as far as the system supports that."""
    made = path.stat()
    if hasattr(os, "chown") and (made.st_uid, made.st_gid) != (like.st_uid, like.st_gid):
        with suppress(PermissionError):  # only root may change owners
            os.chown(path, like.st_uid, like.st_gid)
    if (mode := like.st_mode & 0o777) != made.st_mode & 0o777:
        with suppress(OSError, NotImplementedError):  # vfat has none
            path.chmod(mode)


def _descriptor(path: Path) -> int | None:
    """The descriptor of this process that a path leads to, if any."""
    while True:
        path = Path(os.path.realpath(path.parent)) / path.name
        named = _DESCRIPTOR.fullmatch(str(path))
        if named is not None:
            return int(named[2]) if int(named[1]) == os.getpid() else None
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()


def _is_utf8(text: str) -> bool:
    """Whether it can be encoded. File names may not be, but pages and tables show them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def stream_at(path: Path) -> str | None:
    """What is at a path where a read may wait forever: "a FIFO" or "a device"; None for a file.

    Raises `OSError` where that can't be found out; nothing at all is None too.
    """
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
    except FileNotFoundError:
        return None
    return None if kind == stat.S_IFDIR else _KINDS.get(kind)


def read_json(
    path: Path, expected: str = "a JSON object", *, streams: bool = False
) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: a file of at most 16 MiB, UTF-8.
        expected: what it should be, for the error's sentence.
        streams: whether it may be a FIFO or a device, such as /dev/stdin.

    Raises:
        InputError: when it can't be read, is too large, or is refused by `parse_json`.
    """
    content = read_bounded(path, LARGEST_JSON, expected, streams=streams)
    return parse_json(content, str(path), expected)


@contextmanager
def read_errors(path: Path, expected: str = "a readable path") -> Iterator[None]:
    """Within the block, a system error becomes an `InputError` about `path`.

    Also for existence checks: a folder may be unreadable, a name too long.
    """
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: expected {expected}; {reason}") from error


def read_bounded(path: Path, most: int, expected: str, *, streams: bool = False) -> bytes:
    """The content of a file; reads at most `most` bytes.

    Raises `InputError` when it is larger or can't be read, or a stream that `streams` forbids.
    """
    with read_errors(path, expected):
        if not streams and (kind := stream_at(path)):
            raise InputError(f"{path}: expected {expected}, got {kind}")
    with read_errors(path, expected), path.open("rb") as file:
        # In pieces, because `read` allocates as much as it is asked to read.
        pieces, left = [], most + 1
        while left and (piece := file.read(min(left, _PIECE))):
            pieces.append(piece)
            left -= len(piece)
    if not left:
        raise InputError(f"{path}: expected {expected}, at most {most:,} bytes, got more")
    return b"".join(pieces)


def parse_json(text: bytes, where: str, expected: str = "a JSON object") -> dict[str, Any]:
    """Parse a JSON object from `text` (UTF-8); `where` names it in errors.

    Raises `InputError` when it isn't an object, is not valid Unicode, is nested more than 50 deep,
    or has duplicate keys or non-finite numbers.
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
        if b"\\u" in text:  # a lone surrogate can be escaped, but not encoded again
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
