"""MNIST, and any data set laid out like it, as tensors in [0, 1].

Four IDX files (http://yann.lecun.com/exdb/mnist), gzipped or not: images and labels, for training
and for testing. Fashion-MNIST and KMNIST come the same way.
"""

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedReader
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.common import arguments
from deceive.common.checks import at_least
from deceive.common.errors import InputError

# MNIST's files, with the SHA-256 of each one uncompressed: what a clone ships and a download gives.
SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
# What identifies it as a `Dataset`.
MNIST = hashlib.sha256("".join(SHA256.values()).encode()).hexdigest()
# The MD5 of each original download, gzipped (the clone's were packed anew, so theirs differ).
MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
CLONE = Path(__file__).resolve().parents[3] / "data" / "mnist"

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_MOST_DIMENSIONS = 4
_CHANNELS = range(1, 5)  # grey or colour, with or without transparency
_BEST_DEFLATE_RATIO = 1032  # no gzip file holds more bytes for each of its own
_PIECE = 2**20  # bytes to decompress at once


@dataclass(frozen=True, eq=False)
class Split:
    """Images with their labels."""

    images: Tensor
    """(N, C, H, W) float32 in [0, 1]."""
    labels: Tensor
    """(N,) int64, 0 to n_classes - 1."""

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        return f"Split({len(self):,} images of {tuple(self.images.shape[1:])})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set cut in three: to train on, to choose on, and to report on once."""

    train: Split
    """All training images but the last ones: 55,000 for MNIST."""
    validation: Split
    """The last training images: 5,000 for MNIST."""
    test: Split
    """10,000 for MNIST."""
    n_classes: int
    """One more than the greatest label in any split; there are images of each class."""
    checksum: str
    """SHA-256 that identifies the data, however the files are packed."""
    folder: Path
    """Where it was read."""

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        sizes = " + ".join(f"{len(each):,}" for each in (self.train, self.validation, self.test))
        return (
            f"Dataset({self.folder.name}: {sizes} images of {self.image_shape}, "
            f"{self.n_classes} classes)"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of every image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    def first(self, count: int) -> "Dataset":
        """The same with the first `count` training images alone (all, where there are fewer)."""
        at_least("count", count, 1)
        train = Split(self.train.images[:count], self.train.labels[:count])
        return replace(self, train=train)


@arguments.taking(folder=arguments.maybe(arguments.place), any_labels=arguments.flag)
def load_data(
    folder: str | Path | None = None, *, validation: int = 5000, any_labels: bool = False
) -> Dataset:
    """Read MNIST, or a data set like it, whole into memory, on the CPU.

    Args:
        folder: holds the four files named in `SHA256`, each with or without `.gz`; also spelt
            `train-images.idx3-ubyte`. When None: the folder that the environment variable
            DECEIVE_DATA names, else the clone's `data/mnist`, else the user's cache, into which
            MNIST is downloaded once.
        validation: how many of the last training images are held out, at least 1.
        any_labels: accept any labels, for images whose labels don't matter. Otherwise labels must
            be 0 to K - 1 without gaps.

    Returns:
        A `Dataset`. Images are (N, 1, H, W), or (N, C, H, W) where the files have four dimensions.

    Raises:
        InputError: when a file is missing, unreadable, damaged or no IDX file of unsigned bytes;
            when the files don't fit each other; when there is a class without an image; when too
            few images are left to train on; when MNIST's own files are not what they should be, or
            cannot be downloaded.
    """
    at_least("validation", validation, 1)
    given = folder or os.environ.get("DECEIVE_DATA")
    place = Path(given) if given else _default_folder()
    paths = [_find(place, name) for name in SHA256]
    arrays = [read_idx(path) for path in paths]
    checksums = [_checksum(array) for array in arrays]
    if not given or place.resolve() == CLONE:
        _verify(paths, checksums)

    whole = _pair(paths[:2], arrays[:2])
    test = _pair(paths[2:], arrays[2:])
    if whole.images.shape[1:] != test.images.shape[1:]:
        raise InputError(
            f"{paths[2]}: expected images of {_by(whole.images.shape[1:])} as in {paths[0].name}, "
            f"got {_by(test.images.shape[1:])}"
        )
    if not any_labels:
        _check_labels(paths, whole.labels, test.labels)
    left = len(whole) - validation
    if left < 1:
        raise InputError(
            f"{paths[0]}: expected at least {validation + 1:,} images, {validation:,} of them for "
            f"validation, got {len(whole):,}"
        )
    return Dataset(
        train=Split(whole.images[:left], whole.labels[:left]),
        validation=Split(whole.images[left:], whole.labels[left:]),
        test=test,
        n_classes=1 + int(max(whole.labels.max(), test.labels.max())),
        checksum=hashlib.sha256("".join(checksums).encode()).hexdigest(),
        folder=place,
    )


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an IDX file, gzipped or not (its content says which, not its name).

    Returns:
        uint8, in the file's own shape: 1 to 4 dimensions, none of them 0.

    Raises:
        InputError: when there is no such file, when it cannot be read, when it is damaged, or when
            it holds anything but the unsigned bytes that its header declares.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: expected a file, found {_instead(path)}")
        with path.open("rb") as raw:
            ratio = _BEST_DEFLATE_RATIO if raw.peek(2).startswith(_GZIP_MAGIC) else 1
            file = raw if ratio == 1 else gzip.GzipFile(fileobj=raw)
            shape = _read_shape(path, file)
            size = math.prod(shape)
            room = os.fstat(raw.fileno()).st_size
            if size > room * ratio:  # before allocating what the header claims
                raise InputError(
                    f"{path}: expected {size:,} values ({_by(shape)}) according to its header, "
                    f"got a file of {room:,} bytes"
                )
            values = np.empty(size, np.uint8)
            came = _fill(values, file)
            more = came == size and file.read(1) != b""  # reads no more of a gzip bomb
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise InputError(
            f"{path}: expected a readable IDX file, gzipped or not; {_reason(error)}"
        ) from error
    if came < size or more:
        raise InputError(
            f"{path}: expected {size:,} values ({_by(shape)}) according to its header, "
            f"got {'more' if more else f'{came:,}'}"
        )
    return values.reshape(shape)


def _fill(values: NDArray[np.uint8], file: BufferedReader | gzip.GzipFile) -> int:
    """Read bytes into the array until it is full or the file ends; returns their number.

    In pieces, to avoid a second array.
    """
    came = 0
    while came < len(values) and (piece := file.read(min(_PIECE, len(values) - came))):
        values[came : came + len(piece)] = np.frombuffer(piece, np.uint8)
        came += len(piece)
    return came


def _read_shape(path: Path, file: BufferedReader | gzip.GzipFile) -> tuple[int, ...]:
    """Read the header: 0, 0, the element type, the number of dimensions, then each as uint32."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise InputError(
            f"{path}: expected an IDX file, which begins with the bytes 00 00 08, "
            f"got {magic.hex(' ') or 'an empty file'}"
        )
    kind, dimensions = magic[2:]
    if kind != _UNSIGNED_BYTE:
        raise InputError(f"{path}: expected unsigned bytes (IDX type 0x08), got type 0x{kind:02x}")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise InputError(f"{path}: expected 1 to {_MOST_DIMENSIONS} dimensions, got {dimensions}")
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise InputError(
            f"{path}: expected a header of {4 + 4 * dimensions} bytes, as it has {dimensions} "
            f"dimension(s), got {4 + len(sizes)} bytes"
        )
    shape = struct.unpack(f">{dimensions}I", sizes)
    if 0 in shape:
        raise InputError(f"{path}: expected dimensions of at least 1, got {_by(shape)}")
    return shape


def _checksum(array: NDArray[np.uint8]) -> str:
    """SHA-256 of the array's IDX file, uncompressed: its header says nothing but the shape."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    digest = hashlib.sha256(header)
    digest.update(array.data)
    return digest.hexdigest()


def _verify(paths: Sequence[Path], checksums: Sequence[str]) -> None:
    """Raise `InputError` unless these are MNIST's own four files."""
    for path, expected, came in zip(paths, SHA256.values(), checksums, strict=True):
        if came != expected:
            raise InputError(
                f"{path}: expected MNIST's own file (SHA-256 {expected[:12]}… uncompressed), "
                f"got another ({came[:12]}…); data of your own goes into another folder, "
                "named with --data"
            )


def _pair(paths: Sequence[Path], arrays: Sequence[NDArray[np.uint8]]) -> Split:
    """Images and labels that belong together, as tensors."""
    (images_path, labels_path), (images, labels) = paths, arrays
    if images.ndim not in (3, 4):
        raise InputError(
            f"{images_path}: expected images (3 or 4 dimensions), got {_by(images.shape)}"
        )
    if labels.ndim != 1:
        raise InputError(f"{labels_path}: expected labels (1 dimension), got {_by(labels.shape)}")
    if len(images) != len(labels):
        raise InputError(
            f"{labels_path}: expected {len(images):,} labels, one for each image in "
            f"{images_path.name}, got {len(labels):,}"
        )
    if images.ndim == 4 and images.shape[3] in _CHANNELS and images.shape[1] not in _CHANNELS:
        raise InputError(
            f"{images_path}: expected channels first, as in 60000×3×32×32, got "
            f"{_by(images.shape)}; reorder them with numpy's transpose(0, 3, 1, 2)"
        )
    if images.ndim == 3:
        images = images.reshape(len(images), 1, *images.shape[1:])
    return Split(torch.from_numpy(images).float().div_(255), torch.from_numpy(labels).long())


def _check_labels(paths: Sequence[Path], train: Tensor, test: Tensor) -> None:
    """Raise `InputError` unless every label from 0 to the greatest occurs."""
    counts = torch.bincount(torch.cat([train, test]))
    unused = [label for label, count in enumerate(counts.tolist()) if count == 0]
    if not unused:
        return
    path = paths[1] if train.max() >= test.max() else paths[3]
    raise InputError(
        f"{path}: expected labels 0, 1, 2, … with no gaps, got labels up to "
        f"{len(counts) - 1} without {_ranges(unused)}; renumber the classes, and remove "
        "unlabelled images (often labelled 255)"
    )


def _ranges(numbers: Sequence[int], most: int = 5) -> str:
    """Ascending numbers as ranges: 0, 10 to 254."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    said = [str(low) if low == high else f"{low} to {high}" for low, high in ranges]
    return ", ".join(said[:most]) + (" and others" if len(said) > most else "")


def _find(folder: Path, name: str) -> Path:
    """The file of that name, or of one of its other spellings; unpacked ones first, being quick."""
    dotted = name.replace("-idx", ".idx")
    try:
        if not folder.is_dir():
            raise InputError(
                f"{folder}: expected a folder with {name} and its three companions, "
                f"found {_instead(folder)}"
            )
        for spelling in (name, dotted, f"{name}.gz", f"{dotted}.gz"):
            # Some archives hold folders with the files' names beside the files.
            if (folder / spelling).is_file():
                return folder / spelling
    except OSError as error:
        raise InputError(f"{folder}: expected a readable folder; {_reason(error)}") from error
    raise InputError(f"{folder / name}: expected this file, or the same with .gz; found neither")


def _default_folder() -> Path:
    """The clone's data, also when only the working directory is in it; else the user's cache."""
    for folder in (CLONE, Path("data/mnist")):
        with suppress(OSError):  # a working directory that one may not look into
            if folder.is_dir():
                return folder
    return _download()


def _download() -> Path:
    """Fetch what is missing of MNIST into the user's cache; each file appears there whole."""
    # Here and not above: it takes a while to import, and a clone never needs it.
    import pooch  # type: ignore[import-untyped]

    cache = Path(pooch.os_cache("deceive"))
    for name, md5 in MD5.items():
        try:
            pooch.retrieve(MIRROR + name, f"md5:{md5}", name, cache, progressbar=True)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors, of many lines
            failed_on_the_way = isinstance(error, OSError)
            reason = type(error).__name__ if failed_on_the_way else "what came has another checksum"
            raise InputError(
                f"{MIRROR}{name}: expected to download MNIST into {cache}, but failed ({reason}); "
                "when offline, name a folder that holds the four files with --data"
            ) from error
    return cache


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _instead(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    return "something else" if path.exists() else "nothing"


def _by(shape: Sequence[int]) -> str:
    """A shape as people write it: 60000×28×28."""
    return "×".join(str(size) for size in shape)
