"""Pictures in a folder for each class."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from deceive.common.errors import InputError
from deceive.data.decoding import decoded
from deceive.data.names import part_named
from deceive.data.readers.folder_notes import about_skipped, notes_on
from deceive.data.readers.reader import Found, Part, PartName, Pictures, Reader
from deceive.data.readers.walking import DEEPEST, folders_in, pictures_in

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
    return place.is_dir() and next(pictures_in(place, Counter()), None) is not None


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
    notes += notes_on(root, [*splits.values()])
    if skipped:
        notes.append(about_skipped(skipped))
    is_flat = not splits and not folders_in(root)

    def check() -> None:
        if is_flat:
            raise InputError(
                f"{place}: expected a folder for each class, found {len(parts['all'].labels):,} "
                "pictures side by side; sort them into folders, as DIR/cat/1.jpg and DIR/dog/1.jpg"
            )
        if not splits and all(map(part_named, names)):
            raise InputError(
                f"{place}: expected class folders in {' and '.join(names)}, found pictures side by "
                f"side; sort them, as DIR/{names[0]}/cat/1.jpg and DIR/{names[0]}/dog/1.jpg"
            )

    return Found(parts, digest.hexdigest(), notes=tuple(notes), lost=lost, check=check)


def _unwrapped(place: Path) -> Path:
    """The folder, or the only folder in it that holds folders."""
    for _ in range(DEEPEST):
        inner = folders_in(place)
        if 1 < len(inner) <= _FEW_FOLDERS:  # beside such as docs
            inner = [each for each in inner if next(pictures_in(each, Counter()), None)]
        if len(inner) != 1 or part_named(inner[0].name) or not folders_in(inner[0]):
            break
        place = inner[0]
    return place


def _splits(root: Path) -> dict[PartName, Path]:
    """Folders named like train, val and test, that hold class folders."""
    found: dict[PartName, Path] = {}
    for folder in folders_in(root):
        if (part := part_named(folder.name)) and (inner := folders_in(folder)):
            nested = len(inner) == 1 and inner[0].name == folder.name  # seg_train/seg_train/CLASS
            found.setdefault(part, inner[0] if nested else folder)
    return found


def _listed(root: Path, folder: Path, skipped: Counter[str], *, loose: bool) -> _Listed:
    """The pictures in class folders; with `loose`, if there are none, those in the folder."""
    listed = _Listed([], [], [])
    inside = folders_in(folder)
    for inner in inside if inside or not loose else [folder]:
        for path, size in pictures_in(inner, skipped):
            listed.files.append(path[len(str(root)) :].lstrip(os.sep).replace(os.sep, "/"))
            listed.sizes.append(size)
            listed.classes.append(inner.name)
    return listed


READER = Reader(
    name="class folders",
    example="DIR/train/cat/1.jpg or DIR/cat/1.jpg",
    recognises=recognises,
    read=read,
)
