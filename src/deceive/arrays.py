"""Arrays on disk: compressed `.npz`, written in one go, and read no further than they should be.

A layout says what arrays a file holds: name → `levels N C H W`, what the numbers are (`_KINDS`) and
a letter for each dimension. A letter stands for the same size wherever it is; K is the number of
classes. A name that ends in `?` may be missing.
"""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deceive.errors import DamageError
from deceive.files import replacing

Arrays = dict[str, NDArray[Any]]
Layout = Mapping[str, str]

# Candidates as they are kept: 8-bit images, and what became of each.
CANDIDATES: Layout = {
    "levels": "levels N C H W",
    "targets": "classes N",
    "confidence": "shares N",
    "fooled": "flags N",
    "steps": "counts N",
}

# What numbers are: their type, the least one, and the greatest one where there is one.
_KINDS: dict[str, tuple[str, float, float]] = {
    "levels": ("u", 0, 255),
    "flags": ("b", 0, 1),
    "shares": ("f", 0, 1 + 1e-6),
    "scores": ("f", -math.inf, math.inf),
    "counts": ("i", 0, math.inf),
    "classes": ("i", 0, math.inf),  # and below K, or the number of them where that isn't known
    "seen": ("i", -1, math.inf),  # by judges who may not agree, which is -1; below K too
}
_EXACT = (np.dtype(np.uint8), np.dtype(np.bool_), np.dtype(np.int64))
_TYPES = {"u": "uint8", "b": "bool", "i": "int64", "f": "float16, 32 or 64"}

# What a file may unfold to, whatever its own size; or so many times that, where it is more.
_ROOM, _UNFOLDED = 256 * 2**20, 50

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# All that zipfile and numpy are known to raise for files that aren't what they should be.
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    RuntimeError,
    MemoryError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write a compressed `.npz` in one go."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path, layout: Layout | None = None, **sizes: int) -> Arrays:
    """The arrays of an `.npz`, if they are laid out so; any, without a layout.

    Args:
        path: a file that unfolds to no more than 256 MiB, or fifty times its own size where that
            is more. Pickled objects are never opened.
        layout: what it holds, at the least.
        sizes: what is known of the layout's letters.

    Raises:
        DamageError: when it is missing, damaged, unfolds to more, is laid out otherwise, or has a
            number in it that is none of its kind.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.stat().st_size)
            arrays = {name: _array(archive, member) for name, member in members.items()}
    except _DAMAGED as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamageError(f"{path}: expected arrays; {said.splitlines()[0]}") from error
    if layout is not None and (trouble := _trouble(arrays, layout, sizes)):
        raise DamageError(f"{path}: expected arrays; {trouble}")
    return arrays


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The members of an archive of so many bytes, by the names of their arrays.

    `zipfile` reads no more of a member than its directory declares, so that can be relied on.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    for each in archive.infolist():
        name = each.filename.removesuffix(".npy")
        if name == each.filename or not f"_{name}".isidentifier() or name in members:
            raise ValueError(f"got a member named {each.filename!r}, or two of that name")
        if each.compress_type not in _METHODS:
            raise ValueError(f"got a member compressed by method {each.compress_type}")
        members[name] = each
    room = max(_ROOM, _UNFOLDED * size)
    unfolded = sum(each.file_size for each in members.values())
    if unfolded > room:
        raise ValueError(f"unpacks to {unfolded:,} bytes, too many for a file of {size:,}")
    return members


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        shape, dtype = _header(file)
        held = member.file_size - file.tell()
    if dtype.kind not in "biuf":
        raise ValueError(f"{member.filename} should hold numbers, holds {dtype}")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"{member.filename} should hold {shape} of {dtype}, holds {held:,} bytes")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"got an array in version {version} of its format")
    return shape, dtype


def _trouble(arrays: Arrays, layout: Layout, sizes: dict[str, int]) -> str | None:
    """What is wrong with arrays that should be laid out so, if anything is."""
    names = {name.removesuffix("?"): kind for name, kind in layout.items()}
    wanted = {name for name in layout if not name.endswith("?")}
    if lacking := sorted(wanted - arrays.keys()):
        return f"found no {', '.join(lacking)}"
    known = dict(sizes)
    for name in sorted(arrays.keys() & names.keys()):
        array = arrays[name]
        kind, *letters = names[name].split()
        type_of, least, most = _KINDS[kind]
        shape = tuple(known.setdefault(k, n) for k, n in zip(letters, array.shape, strict=False))
        is_of_type = array.dtype.kind == type_of and (type_of == "f" or array.dtype in _EXACT)
        if not is_of_type or len(letters) != array.ndim or shape != array.shape or 0 in shape:
            words = ", ".join(f"{k} = {known[k]}" if k in known else k for k in letters)
            expected = f"{_TYPES[type_of]} ({words})"
            return f"{name} should be {expected}, is {array.dtype} {array.shape}"
        if kind in ("classes", "seen"):
            most = known.get("K", array.size) - 1
        if not least <= array.min() <= array.max() <= most:  # which NaN isn't
            return f"{name} should be from {least:g} to {most:g}, has other values"
    return None
