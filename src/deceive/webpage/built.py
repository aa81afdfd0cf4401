"""What an earlier build left: whether it is complete, and built from the same files."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deceive.common.errors import InputError
from deceive.common.files import read_json, write_text
from deceive.webpage.serving import LIST


def write_list(folder: Path, sources: str) -> None:
    """Write the list of a page's files for `serving.server`, with the checksum of its sources."""
    files = [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / LIST
    ]
    write_text(folder / LIST, json.dumps({"sources": sources, "files": files}, indent=1) + "\n")


def is_built(dist: Path, sources: str) -> bool:
    """Whether the page is complete and built from these sources."""
    listed = read_own(dist / LIST)
    files = listed.get("files")
    return (
        listed.get("sources") == sources
        and isinstance(files, list)
        and all((dist / str(name)).is_file() for name in files)
    )


def read_own(path: Path) -> dict[str, Any]:
    """A file from an earlier build; empty if it is missing or damaged."""
    try:
        return read_json(path)
    except InputError:
        return {}


def checksum(paths: Iterable[Path]) -> str:
    """SHA-256 of the files' names and contents, in the order of their paths."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
