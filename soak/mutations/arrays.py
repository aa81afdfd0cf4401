"""Damage to arrays: `.npy` headers and data, and zips of them."""

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence

from soak.mutations.bombs import MOST, array_of_zeros
from soak.mutations.raw import BYTES
from soak.mutations.values import INTEGERS, STRINGS, Mutation, Random


def change_npy(content: bytes, rng: Random) -> bytes:
    """Another shape, type or order in the header of a `.npy`, or damage to its data."""
    end = content.find(b"\n") + 1
    if not content.startswith(b"\x93NUMPY") or not end or rng.random() < 0.2:
        return rng.choice(BYTES)(content, rng)
    head, body = content[10:end].decode("latin-1"), content[end:]
    kind = rng.randrange(4)
    if kind == 0:
        head = _with_entry(head, "descr", repr(rng.choice(_DTYPES)))
    elif kind == 1:
        head = _with_entry(head, "shape", rng.choice(_SHAPES))
    elif kind == 2:
        head = head.replace("False", rng.choice(("True", "None", "[[" * 500)), 1)
    else:
        body = rng.choice((extreme_items, *BYTES))(body, rng)
    text = head.encode("latin-1", "replace")
    length = struct.pack("<H", len(text)) if len(text) < 65_536 else b"\xff\xff"
    return content[:8] + length + text + body


# fmt: off
_DTYPES = (
    "|O", "<f8", "<f4", "<f2", "|u1", "<i8", "<u8", "|b1", "|S5", "<U7", "<U99999999", "<c16",
    "<M8[s]", "|V9", "V0", ">f4", "nonsense", "",
)
# fmt: on

# fmt: off
_SHAPES = (
    "()", "(0,)", "(1,)", "(3,)", "(-1,)", "(0, 0, 0)", "(1000000000,)", "(2, 1, 8)",
    "(9223372036854775807, 2)", "(1,) * 3", "'a'", "(1.5,)", "(True,)", "(2,) + (3,)",
)
# fmt: on


def _with_entry(head: str, key: str, value: str) -> str:
    """A `.npy` header with another value for one key."""
    before, found, after = head.partition(f"'{key}': ")
    if not found:
        return head
    stop = after.find("), ") + 1 if after.startswith("(") else after.find(", ")
    return before + found + value + after[max(stop, 0) :]


def extreme_items(body: bytes, rng: Random) -> bytes:
    """NaN, infinity or huge numbers somewhere in an array."""
    size = rng.choice((1, 4, 8))
    if len(body) < size:
        return body
    changed = bytearray(body)
    code = {1: "B", 4: "<f", 8: "<d"}[size]
    values = (255, 128) if size == 1 else (float("nan"), float("inf"), -1.0, 2.0, 1e30)
    for _ in range(rng.randint(1, 4)):
        at = size * rng.randrange(len(body) // size)
        struct.pack_into(code, changed, at, rng.choice(values))
    return bytes(changed)


def change_zip(content: bytes, rng: Random) -> bytes:
    """Change, rename, drop, double or add members of a zip, or falsify its directory."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(each.file_size for each in archive.infolist()) > MOST:
                return content
            members = [(each.filename, archive.read(each)) for each in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, zlib.error, EOFError):
        return rng.choice(BYTES)(content, rng)
    if not members or rng.random() < 0.15:
        return _lying_directory(content, rng)
    at, kind = rng.randrange(len(members)), rng.randrange(8)
    name, body = members[at]
    if kind == 0:
        del members[at]
    elif kind == 1:
        members[at] = (rng.choice((*(s for s in STRINGS if len(s) < 999), "x.npy")), body)
    elif kind == 2:
        members.insert(rng.randrange(len(members) + 1), members[rng.randrange(len(members))])
    elif kind == 3:
        members.append((rng.choice(("extra.npy", "a/b.npy", "x", ".npy")), rng.randbytes(20)))
    elif kind == 4 and rng.random() < 0.1:
        return array_of_zeros(name)
    else:
        members[at] = (name, change_npy(body, rng))
    return zipped(members)


def zipped(members: Sequence[tuple[str, bytes]]) -> bytes:
    """A zip of these members, without timestamps; names may repeat."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            safe = name.encode("utf-8", "replace").decode("utf-8")
            info = zipfile.ZipInfo(safe, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            known = archive.NameToInfo.pop(info.filename, None)  # else it warns of duplicates
            archive.writestr(info, body)
            if known is not None:
                archive.NameToInfo[info.filename] = known
    return buffer.getvalue()


def _lying_directory(content: bytes, rng: Random) -> bytes:
    """Overwrite sizes, methods, offsets or flags in a zip's records."""
    marks = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
    at = content.find(rng.choice(marks))
    if at < 0:
        return rng.choice(BYTES)(content, rng)
    at += rng.randrange(4, 46)
    size = rng.choice((1, 2, 4))
    number = rng.choice(INTEGERS) % (1 << 8 * size)
    return content[:at] + number.to_bytes(size, "little") + content[at + size :]


NPZ: tuple[Mutation, ...] = (change_zip, change_zip, change_zip, *BYTES)
