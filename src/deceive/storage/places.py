"""Which folders hold a run, and which may become one."""

import stat
from pathlib import Path

from deceive.common.errors import InputError
from deceive.common.files import read_errors, read_json, stream_at


def holds_run(folder: Path) -> bool:
    """Whether a folder holds a run, however damaged.

    Rows beside settings or an environment are enough, even if all are damaged.
    """
    settings, environment = folder / "settings.json", folder / "environment.json"
    if is_there(folder / "rows.jsonl"):
        return is_there(settings) or is_there(environment)
    return is_there(settings) and (
        _tells(environment, "deceive") or _tells(settings, "data_checksum")
    )


def check_place(folder: Path) -> None:
    """Raise `InputError` unless `folder` holds a run, is empty or doesn't exist.

    Ignores hidden files, and what a run killed at its start leaves behind.
    """
    with read_errors(folder, "a run folder or a new path"):
        try:
            mode = folder.stat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(mode):
            raise InputError(f"{folder}: expected a run folder or a new path, got a file")
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    begun = names == {"environment.json"} and _tells(folder / "environment.json", "deceive")
    if names and not begun and not holds_run(folder):
        raise InputError(
            f"{folder}: expected a run folder or an empty one, got a folder with "
            f"{min(names)!r} in it and no run; choose another with --out"
        )


def check_files(folder: Path) -> None:
    """Raise `InputError` if a folder holds anything but files and folders.

    A read from a FIFO, or a write to one, may wait forever.
    """
    with read_errors(folder):
        for path in sorted(folder.rglob("*")):
            if kind := stream_at(path):
                raise InputError(f"{path}: expected a file, got {kind}")


def is_there(path: Path) -> bool:
    """Whether a path exists. Raises `InputError` where that can't be found out."""
    with read_errors(path):
        return path.exists()


def _tells(path: Path, name: str) -> bool:
    """Whether a file is a JSON object with this key."""
    try:
        return name in read_json(path)
    except InputError:
        return False
