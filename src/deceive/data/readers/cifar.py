"""CIFAR-10's and CIFAR-100's binary versions: a row is the label (or two) and 3,072 levels."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deceive.common.checks import on_one_line
from deceive.common.errors import InputError
from deceive.data.idx import reason
from deceive.data.names import part_named
from deceive.data.readers.layout import Layout
from deceive.data.readers.levels import Levels
from deceive.data.readers.reader import Found, Part, PartName, Reader

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_NAMES = ("fine_label_names.txt", "batches.meta.txt")
_PICKLES = ("data_batch_1", "test_batch", "batches.meta", "meta")


@dataclass(frozen=True)
class _Batches:
    """Rows of several files, as one array."""

    files: Sequence[NDArray[np.uint8]]
    """(n, labels + 3072) each."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Levels."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 3072)."""
        return (sum(len(each) for each in self.files), _PIXELS)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        wanted = np.asarray(rows)
        found = np.empty((len(wanted), _PIXELS), np.uint8)
        begins = np.cumsum([0, *(len(each) for each in self.files)])
        which = np.searchsorted(begins, wanted, side="right") - 1
        for number in np.unique(which).tolist():
            here = which == number
            found[here] = self.files[number][wanted[here] - begins[number], -_PIXELS:]
        return found


def recognises(place: Path) -> bool:
    """Whether it holds CIFAR's files, binary or pickled, or is one."""
    return bool(_files(place)) or _is_pickled(place)


def read(place: Path) -> Found:
    """Map the files into memory, and read the labels. Raises `InputError` for the pickled ones."""
    if _is_pickled(place):
        raise InputError(
            f"{place}: expected CIFAR's binary version (cifar-10-binary.tar.gz, "
            "cifar-100-binary.tar.gz), got the one for Python, which can run code when it is read"
        )
    parts: dict[PartName, Part] = {}
    digest = hashlib.sha256()
    for part, paths in _files(place).items():
        files = [_rows(path) for path in paths]
        labels = np.concatenate([each[:, -_PIXELS - 1] for each in files])
        pictures = Levels(_Batches(files), f"{place} ({part})", Layout(_SHAPE, "first"))
        parts[part] = Part(pictures, labels)
        digest.update(repr((part, len(labels))).encode())
        digest.update(labels.tobytes())
        digest.update(pictures.several(range(0, len(labels), 100)).numpy().tobytes())
    return Found(parts, digest.hexdigest(), _names(place if place.is_dir() else place.parent))


def _files(place: Path) -> Mapping[PartName, list[Path]]:
    if place.is_file():
        if place.suffix != ".bin" or not _width(place.stat().st_size):
            return {}
        return {part_named(place.stem) or "all": [place]}
    if not place.is_dir():
        return {}
    found: dict[PartName, list[Path]] = {}
    for name, part in (("data_batch_*", "train"), ("train", "train"), ("test*", "test")):
        if paths := sorted(each for each in place.glob(f"{name}.bin") if each.is_file()):
            found["train" if part == "train" else "test"] = paths
    return found


def _is_pickled(place: Path) -> bool:
    if place.is_dir():
        return not _files(place) and sum((place / name).is_file() for name in _PICKLES) > 0
    return place.name in _PICKLES and place.is_file()


def _rows(path: Path) -> NDArray[np.uint8]:
    try:
        size = path.stat().st_size
        width = _width(size)
        if not width:
            raise InputError(
                f"{path}: expected rows of 3,073 bytes (CIFAR-10) or 3,074 (CIFAR-100), got "
                f"{size:,} bytes"
            )
        return np.memmap(path, np.uint8, "r", shape=(size // width, width))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a readable file; {reason(error)}") from error


def _width(size: int) -> int:
    """Bytes of a row; 0 if they don't fit."""
    return next((_PIXELS + n for n in (1, 2) if size and size % (_PIXELS + n) == 0), 0)


def _names(folder: Path) -> list[str]:
    for name in _NAMES:
        try:
            lines = (folder / name).read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        return [on_one_line(line) for line in lines if line.strip()]
    return []


READER = Reader(
    name="CIFAR's binary version",
    example="data_batch_1.bin",
    recognises=recognises,
    read=read,
)
