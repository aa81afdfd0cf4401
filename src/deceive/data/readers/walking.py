"""Folders and picture files, as they lie on disk."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from deceive.data.decoding import endings

DEEPEST = 8
"""Folders below a class that are looked into."""


def folders_in(place: Path) -> list[Path]:
    """The folders in a folder, in order, without hidden ones."""
    with os.scandir(place) as entries:
        names = [each.name for each in entries if each.is_dir() and not _is_hidden(each.name)]
    return [place / name for name in sorted(names)]


def pictures_in(
    folder: Path | str, skipped: Counter[str], depth: int = 0
) -> Iterator[tuple[str, int]]:
    """Paths and sizes of all pictures below a folder, in order; counts what it skips.

    The size of a link that leads nowhere is -1.
    """
    known = endings()
    with os.scandir(folder) as entries:
        each_in_order = sorted(entries, key=lambda each: each.name)
    for each in each_in_order:
        ending = os.path.splitext(each.name)[1].lower()  # noqa: PTH122 - a Path each is slow
        if _is_hidden(each.name):
            skipped["hidden"] += 1
        elif each.is_dir():
            if depth < DEEPEST:
                yield from pictures_in(each.path, skipped, depth + 1)
        elif ending not in known and _leads_nowhere(each):
            skipped["links that lead nowhere"] += 1
        elif ending not in known:
            skipped[ending or "without an ending"] += 1
        else:
            yield each.path, -1 if _leads_nowhere(each) else each.stat().st_size


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in ("thumbs.db", "desktop.ini")
