"""IDX files, http://yann.lecun.com/exdb/mnist: one array of unsigned bytes each, gzipped or not."""

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deceive.common.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_MOST_DIMENSIONS = 4
_BEST_DEFLATE_RATIO = 1032  # no gzip file holds more bytes for each of its own
_PIECE = 2**20  # bytes to decompress at once


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read the array in an IDX file, gzipped or not (its content says which, not its name).

    Returns:
        uint8, in the file's own shape: 1 to 4 dimensions, none of them 0.

    Raises:
        InputError: when the file is missing, unreadable or damaged, or holds anything but the
            unsigned bytes that its header declares.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: expected a file, found {instead(path)}")
        with path.open("rb") as raw:
            ratio = _BEST_DEFLATE_RATIO if raw.peek(2).startswith(_GZIP_MAGIC) else 1
            file = raw if ratio == 1 else gzip.GzipFile(fileobj=raw)
            shape = _read_shape(path, file)
            size = math.prod(shape)
            room = os.fstat(raw.fileno()).st_size
            if size > room * ratio:  # before allocating what the header claims
                raise InputError(
                    f"{path}: expected {size:,} values ({by(shape)}) according to its header, "
                    f"got a file of {room:,} bytes"
                )
            values = np.empty(size, np.uint8)
            came = _fill(values, file)
            more = came == size and file.read(1) != b""  # reads no more of a gzip bomb
    except (OSError, EOFError, zlib.error, MemoryError) as error:
        raise InputError(
            f"{path}: expected a readable IDX file, gzipped or not; {reason(error)}"
        ) from error
    if came < size or more:
        raise InputError(
            f"{path}: expected {size:,} values ({by(shape)}) according to its header, "
            f"got {'more' if more else f'{came:,}'}"
        )
    return values.reshape(shape)


def checksum(array: NDArray[np.uint8]) -> str:
    """SHA-256 of the array's uncompressed IDX file: a header that holds the shape, and the data."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    digest = hashlib.sha256(header)
    digest.update(array.data)
    return digest.hexdigest()


def _fill(values: NDArray[np.uint8], file: BufferedReader | gzip.GzipFile) -> int:
    """Read bytes into the array until it is full or the file ends; return their number.

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
        raise InputError(f"{path}: expected dimensions of at least 1, got {by(shape)}")
    return shape


def reason(error: BaseException) -> str:
    """What an error says, or at least its type."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def instead(path: Path) -> str:
    """What is at a path where a file or a folder was expected."""
    if path.is_dir():
        return "a folder"
    return "something else" if path.exists() else "nothing"


def by(shape: Sequence[int]) -> str:
    """A shape as text: 60000×28×28."""
    return "×".join(str(size) for size in shape)
