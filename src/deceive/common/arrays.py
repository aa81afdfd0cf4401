"""Arrays on disk: compressed `.npz`, written atomically and read within bounds.

A layout describes the arrays of a file: name → `levels N C H W`, i.e. the kind of numbers
(`_KINDS`) and a letter per dimension. The same letter means the same size everywhere; K is the
number of classes. A name that ends in `?` is optional.
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

from deceive.common.errors import DamageError
from deceive.common.files import replacing, stream_at

Arrays = dict[str, NDArray[Any]]
Layout = Mapping[str, str]

# Stored candidates: 8-bit images and the outcome of each.
CANDIDATES: Layout = {
    "levels": "levels N C H W",
    "targets": "classes N",
    "confidence": "shares N",
    "fooled": "flags N",
    "steps": "counts N",
}

# Kinds of numbers: dtype kind, minimum, maximum.
_KINDS: dict[str, tuple[str, float, float]] = {
    "levels": ("u", 0, 255),
    "flags": ("b", 0, 1),
    "shares": ("f", 0, 1 + 1e-6),
    "scores": ("f", -math.inf, math.inf),
    "counts": ("i", 0, math.inf),
    "classes": ("i", 0, math.inf),  # and below K, or below the array's size if K is unknown
    "seen": ("i", -1, math.inf),  # -1 if the judges disagree; below K too
}
_EXACT = (np.dtype(np.uint8), np.dtype(np.bool_), np.dtype(np.int64))
_TYPES = {"u": "uint8", "b": "bool", "i": "int64", "f": "float16, 32 or 64"}

# Limits on the unpacked size: bytes, or a multiple of the file's size, whichever is greater.
ROOM, UNFOLDED = 256 * 2**20, 50

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

DAMAGED = (
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
"""Everything that zipfile and numpy raise for damaged files."""


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write a compressed `.npz` atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path, layout: Layout | None = None, **sizes: int) -> Arrays:
    """Read an `.npz` and check it against `layout`, if given.

    Args:
        path: a file that unpacks to at most 256 MiB or fifty times its size, whichever is greater.
            Pickled objects are never opened.
        layout: the arrays required; others may be present.
        sizes: known sizes of the layout's letters.

    Raises:
        DamageError: when the file is missing, damaged, too large when unpacked, doesn't match the
            layout, or holds a number out of range.
    """
    try:
        if kind := stream_at(path):
            raise ValueError(f"got {kind}")
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.stat().st_size)
            arrays = {name: _array(archive, member) for name, member in members.items()}
    except DAMAGED as error:
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamageError(f"{path}: expected arrays; {said.splitlines()[0]}") from error
    if layout is not None and (trouble := _trouble(arrays, layout, sizes)):
        raise DamageError(f"{path}: expected arrays; {trouble}")
    return arrays


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by array name; `size` is the archive's size in bytes.

    Declared sizes can be trusted: `zipfile` reads no more of a member than its directory declares.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    for each in archive.infolist():
        name = each.filename.removesuffix(".npy")
        if name == each.filename or not f"_{name}".isidentifier() or name in members:
            raise ValueError(f"got a member named {each.filename!r}, or two of that name")
        if each.compress_type not in _METHODS:
            raise ValueError(f"got a member compressed by method {each.compress_type}")
        members[name] = each
    room = max(ROOM, UNFOLDED * size)
    unfolded = sum(each.file_size for each in members.values())
    if unfolded > room:
        raise ValueError(f"unpacks to {unfolded:,} bytes, too many for a file of {size:,}")
    return members


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        shape, dtype = header_of(file)
        held = member.file_size - file.tell()
    if dtype.kind not in "biuf":
        raise ValueError(f"{member.filename} should hold numbers, holds {dtype}")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != held:
        raise ValueError(f"{member.filename} should hold {shape} of {dtype}, holds {held:,} bytes")
    with archive.open(member) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def header_of(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type that the header of an `.npy` declares; raises what `DAMAGED` lists."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"got an array in version {version} of its format")
    return shape, dtype


def _trouble(arrays: Arrays, layout: Layout, sizes: dict[str, int]) -> str | None:
    """What differs from the layout; None if nothing does."""
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
