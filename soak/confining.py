"""What a worker may do: its memory, its writes, its temporary files."""

import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any


def isolate(folder: Path) -> None:
    """Put temporary files into the campaign's folder."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)


def confine(folder: Path, room: int) -> None:
    """Limit this process's memory, and its writes to one folder."""
    limit_memory(room)
    guard(folder)


def limit_memory(room: int) -> None:
    """Limit the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + room
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link",
            "os.symlink", "os.truncate", "shutil.rmtree", "shutil.move")  # fmt: skip


def guard(folder: Path) -> None:
    """Forbid changes outside a folder from now on, as if by permissions."""
    own = (os.path.realpath(folder), "/dev/null", "/proc/self/fd")

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        for path in _changed(event, arguments):
            if not os.path.realpath(os.fsdecode(path)).startswith(own):
                raise PermissionError(13, "Permission denied", os.fsdecode(path))

    sys.addaudithook(hear)


def _changed(event: str, arguments: tuple[Any, ...]) -> list[str | bytes]:
    """The paths that an audit event is about to change; none if it names descriptors."""
    if event == "open":
        writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        paths = arguments[:1] if writes else ()
    elif event not in _CHANGES or (event != "os.symlink" and arguments[-1] not in (-1, None)):
        paths = ()
    else:
        paths = arguments[:2] if event in ("os.rename", "shutil.move") else arguments[:1]
    return [os.fspath(each) for each in paths if isinstance(each, str | bytes | os.PathLike)]
