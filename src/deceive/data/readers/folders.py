"""Pictures in a folder for each class."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from deceive.common.checks import counted
from deceive.common.errors import InputError
from deceive.data.decoding import decoded, endings
from deceive.data.names import part_named
from deceive.data.readers.reader import Found, Part, PartName, Pictures, Reader

_DEEPEST = 8
"""Folders below a class."""
_FEW_FOLDERS = 4
"""At most so many are looked into for pictures."""


@dataclass(frozen=True, eq=False)
class Files(Pictures):
    """Picture files."""

    root: Path
    files: Sequence[str]
    """Their names, from the root on."""

    def __len__(self) -> int:
        return len(self.files)

    def one(self, row: int) -> Tensor:
        """A picture (C, h, w) uint8."""
        return decoded(self.root / self.files[row])

    def name(self, row: int) -> str:
        """Its path from the root on."""
        return self.files[row]


@dataclass(frozen=True)
class _Listed:
    """The pictures of one split."""

    files: list[str]
    sizes: list[int]
    classes: list[str]


def recognises(place: Path) -> bool:
    """Whether it is a folder with pictures somewhere in it."""
    return place.is_dir() and next(_pictures(place, Counter()), None) is not None


def read(place: Path) -> Found:
    """List the pictures; they are decoded when they are asked for."""
    root = _unwrapped(place)
    splits = _splits(root)
    skipped: Counter[str] = Counter()
    parts: dict[PartName, Part] = {}
    digest = hashlib.sha256()
    notes, lost = [], {}
    for name, folder in (splits or {"all": root}).items():
        listed = _listed(root, folder, skipped, loose=not splits)
        if not listed.files:
            notes.append(f"{folder.name}: no class folders with pictures; left out")
            continue
        parts[name] = Part(Files(root, listed.files), np.array(listed.classes))
        for entry in zip(listed.files, listed.sizes, listed.classes, strict=True):
            digest.update(repr((name, *entry)).encode("utf-8", "surrogateescape"))
            if entry[1] < 0:
                lost[entry[0]] = "a link that leads nowhere"
    names = sorted({each for part in parts.values() for each in part.labels.tolist()})
    if all(each.isdecimal() for each in names) and names != sorted(names, key=int):
        notes.append(f"classes are in the order of their names as text: {', '.join(names[:4])}, …")
    notes += _left_out(root, splits)
    if skipped:
        notes.append(_about(skipped))
    is_flat = not splits and not _folders(root)

    def check() -> None:
        if is_flat:
            raise InputError(
                f"{place}: expected a folder for each class, found {len(parts['all'].labels):,} "
                "pictures side by side; sort them into folders, as DIR/cat/1.jpg and DIR/dog/1.jpg"
            )

    return Found(parts, digest.hexdigest(), notes=tuple(notes), lost=lost, check=check)


def _unwrapped(place: Path) -> Path:
    """The folder, or the only folder in it that holds folders."""
    for _ in range(_DEEPEST):
        inner = _folders(place)
        if 1 < len(inner) <= _FEW_FOLDERS:  # beside such as docs
            inner = [each for each in inner if next(_pictures(each, Counter()), None)]
        if len(inner) != 1 or part_named(inner[0].name) or not _folders(inner[0]):
            break
        place = inner[0]
    return place


def _splits(root: Path) -> dict[PartName, Path]:
    """Folders named like train, val and test, that hold class folders."""
    found: dict[PartName, Path] = {}
    for folder in _folders(root):
        if (part := part_named(folder.name)) and (inner := _folders(folder)):
            nested = len(inner) == 1 and inner[0].name == folder.name  # seg_train/seg_train/CLASS
            found.setdefault(part, inner[0] if nested else folder)
    return found


def _folders(place: Path) -> list[Path]:
    with os.scandir(place) as entries:
        names = [each.name for each in entries if each.is_dir() and not _is_hidden(each.name)]
    return [place / name for name in sorted(names)]


def _listed(root: Path, folder: Path, skipped: Counter[str], *, loose: bool) -> _Listed:
    """The pictures in class folders; with `loose`, if there are none, those in the folder."""
    listed = _Listed([], [], [])
    inside = _folders(folder)
    for inner in inside if inside or not loose else [folder]:
        for path, size in _pictures(inner, skipped):
            listed.files.append(path[len(str(root)) :].lstrip(os.sep).replace(os.sep, "/"))
            listed.sizes.append(size)
            listed.classes.append(inner.name)
    return listed


def _pictures(
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
            if depth < _DEEPEST:
                yield from _pictures(each.path, skipped, depth + 1)
        elif ending not in known and _leads_nowhere(each):
            skipped["links that lead nowhere"] += 1
        elif ending not in known:
            skipped[ending or "without an ending"] += 1
        else:
            yield each.path, -1 if _leads_nowhere(each) else each.stat().st_size


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110


def _left_out(root: Path, splits: Mapping[PartName, Path]) -> list[str]:
    """Notes on class folders without pictures, and on pictures that lie beside class folders."""
    notes = []
    for folder in splits.values() or [root]:
        inside = _folders(folder)
        empty = [each.name for each in inside if next(_pictures(each, Counter()), None) is None]
        if empty:
            named = ", ".join(empty[:3]) + (", …" if len(empty) > 3 else "")
            notes.append(
                f"{counted(len(empty), 'folder')} without pictures in {folder.name} ({named}): "
                "no class is counted for such a folder"
            )
        with os.scandir(folder) as entries:
            ends = [os.path.splitext(each.name)[1].lower() for each in entries]  # noqa: PTH122
        if inside and (loose := sum(end in endings() for end in ends)):
            notes.append(
                f"{counted(loose, 'picture')} in {folder.name}, beside its class folders: left out"
            )
    return notes


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX")) or name.lower() in ("thumbs.db", "desktop.ini")


def _about(skipped: Counter[str]) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in skipped.most_common(5))
    is_one = skipped.total() == 1
    said = (
        "file that is no picture" if is_one else f"{skipped.total():,} files that are no pictures"
    )
    return f"skipped {'a ' * is_one}{said}: {kinds}"


READER = Reader(
    name="class folders",
    example="DIR/train/cat/1.jpg or DIR/cat/1.jpg",
    recognises=recognises,
    read=read,
)
