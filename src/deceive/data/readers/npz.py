"""Arrays in an `.npz`, named as Keras, MedMNIST or `deceive` do, and the like."""

import math
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deceive.common.arrays import DAMAGED, ROOM, UNFOLDED, header_of
from deceive.common.checks import on_one_line
from deceive.common.errors import InputError
from deceive.data.names import part_named
from deceive.data.readers.pairs import Labelled, joined_pairs, pairs_in
from deceive.data.readers.reader import Found, PartName, Reader

_SMALL = 256 * 2**20
"""Bytes of an array that is read into memory."""


@dataclass(frozen=True)
class Member:
    """An array in an `.npz`, unpacked when it is first read: a large one into a temporary file."""

    path: Path
    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        return np.asarray(self._array[rows])

    @cached_property
    def _array(self) -> NDArray[Any]:
        with (
            damage_told(self.path),
            zipfile.ZipFile(self.path) as archive,
            archive.open(self.member) as file,
        ):
            if self.member.file_size > _SMALL:
                return self._unpacked(file)
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array

    def _unpacked(self, file: IO[bytes]) -> NDArray[Any]:
        with tempfile.TemporaryDirectory(prefix="deceive-") as folder:
            path = Path(folder) / "array.npy"
            with path.open("wb") as room:
                shutil.copyfileobj(file, room)
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array  # mapped: the space is given back with the array


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Within the block, what numpy and zipfile raise for damaged files becomes an `InputError`."""
    try:
        yield
    except DAMAGED as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(
            f"{path}: expected arrays that can be read; {on_one_line(said)}"
        ) from error


def recognises(place: Path) -> bool:
    """Whether it is such a file, or a folder with one that has such names or is damaged."""
    files = _files(place)
    return bool(files) and (place.is_file() or any(map(_has_pairs, files)))


def read(place: Path) -> Found:
    """Read the arrays' headers and the labels."""
    files = _files(place)
    parts = {part_named(each.stem) for each in files}
    if len(files) > 1 and (None in parts or len(parts) < len(files)):
        raise InputError(
            f"{place}: expected one .npz, or one for each split, got "
            f"{', '.join(each.name for each in files[:4])}; name one of them"
        )
    arrays: dict[PartName, Labelled] = {}
    for path in files:
        inside = _members(path)
        pairs = pairs_in(inside)
        if not pairs:
            raise InputError(
                f"{path}: expected arrays named as x_train and y_train, train_images and "
                f"train_labels, or images and labels, found "
                f"{on_one_line(', '.join(inside)) or 'none'}"
            )
        for part, pair in pairs.items():
            own = part_named(path.stem) if part == "all" else None
            labels = inside[pair.labels][:] if pair.labels else None
            images = inside[pair.images]
            arrays[own or part] = Labelled(images, labels, f"{images.member.CRC:08x}")
    return joined_pairs(arrays, str(place))


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(each for each in place.glob("*.npz") if each.is_file())
    return [place] if place.suffix == ".npz" and place.is_file() else []


def _has_pairs(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except DAMAGED:
        return True
    return bool(pairs_in(names))


def _members(path: Path) -> Mapping[str, Member]:
    """All arrays of numbers or texts, by name."""
    found = {}
    with damage_told(path), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as file:
                shape, dtype = header_of(file)
                held = member.file_size - file.tell()
            if dtype.kind not in "biufSU":
                continue
            if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
                raise ValueError(f"{member.filename} declares {shape}, holds {held:,} bytes")
            found[member.filename.removesuffix(".npy")] = Member(path, member, shape, dtype)
    _check_room(path, [each.member.file_size for each in found.values()])
    return found


def _check_room(path: Path, sizes: Sequence[int]) -> None:
    """Refuse a small file that unpacks to a huge one."""
    held = path.stat().st_size
    if sum(sizes) > max(ROOM, UNFOLDED * held):
        raise InputError(
            f"{path}: expected arrays that can be read; they unpack to {sum(sizes):,} bytes, too "
            f"many for a file of {held:,}"
        )


READER = Reader(
    name=".npz",
    example="x_train, y_train",
    recognises=recognises,
    read=read,
)
