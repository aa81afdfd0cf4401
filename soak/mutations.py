"""Damage, by seed: bytes, JSON, zip, `.npy`, gzip, safetensors, command lines, Python arguments.

A mutation takes a good input and a `random.Random`, and returns a damaged one. It never uses a
clock or the global generator, so damage is reproducible by seed. Input that it can't parse (JSON
damaged before) it damages as plain bytes.
"""

import functools
import gzip
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Random = random.Random
Mutation = Callable[[bytes, Random], bytes]

# fmt: off
INTEGERS = (
    0, 1, -1, 2, 7, 127, 128, 255, 256, 65_535, 2**31 - 1, 2**31, -(2**31), 2**32 - 1, 2**32,
    2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**7, 10**12, 10**30,
)
# fmt: on
"""Integers that overflow, wrap around or exhaust memory."""
# fmt: off
FLOATS = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0.0", "0.5", "1.0000001",
    "1e308", "5e-324", "0.9999999999999999",
)
# fmt: on
"""Numbers as JSON writes them (Python's reads NaN and Infinity too)."""
# fmt: off
STRINGS = (
    "", " ", "\0", "a\nb", "a | b | 0.0% |", "[/b]", "[bold]", "<script>", "../..", "/", "~", "é",
    "\u2028", "\U0001f600", "\ud800", "\u202e", "%s%n", "$(id)", "nan", "0", "-1", "all",
    "x" * 300, "x" * 100_000, "/dev/null", "None", "١٢", "²",
)
# fmt: on
"""Words that break tables, markup, paths, encodings and parsers."""
DEPTHS = (50, 1000, 3000, 100_000)
"""Nesting depths of JSON; Python's own parser fails at about a thousand."""


def mutate(content: bytes, rng: Random, kinds: Sequence[Mutation]) -> bytes:
    """Damage `content` with one to three of these mutations, mostly one."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(kinds)(content, rng)
    return content


# Plain bytes.


def flip_bits(content: bytes, rng: Random) -> bytes:
    """Flip one to eight bits."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(content: bytes, rng: Random) -> bytes:
    """Keep only the beginning: often all but a few bytes, sometimes nothing."""
    if rng.random() < 0.3:
        return content[: -rng.randint(1, 9)]
    return content[: rng.randrange(len(content) + 1)]


def insert(content: bytes, rng: Random) -> bytes:
    """Insert a few bytes somewhere, or at the end."""
    at = rng.choice((len(content), rng.randrange(len(content) + 1)))
    return content[:at] + rng.randbytes(rng.choice((1, 2, 4, 8, 100))) + content[at:]


def delete(content: bytes, rng: Random) -> bytes:
    """Delete a few bytes."""
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[at + rng.choice((1, 2, 4, 8, 100)) :]


def repeat(content: bytes, rng: Random) -> bytes:
    """Repeat a part, or swap two halves."""
    first, second = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    if rng.random() < 0.3:
        return content[first:] + content[:first]
    return content[:second] + content[first:second] + content[second:]


def overwrite(content: bytes, rng: Random) -> bytes:
    """Write an extreme number over 1, 2, 4 or 8 bytes, mostly near the beginning."""
    size = rng.choice((1, 2, 4, 8))
    if len(content) < size:
        return content
    reach = len(content) - size + 1
    at = rng.randrange(min(reach, 64) if rng.random() < 0.7 else reach)
    number = (rng.choice(INTEGERS) % (1 << 8 * size)).to_bytes(size, "big")
    if size > 2 and rng.random() < 0.3:
        odd = rng.choice((float("nan"), float("inf"), -1e30))
        number = struct.pack(">f" if size == 4 else ">d", odd)
    return content[:at] + rng.choice((number, number[::-1])) + content[at + size :]


# fmt: off
_HEADS = (
    b"", b"\0" * 64, b"\xff" * 64, b"{}", b"[]", b"null", b"\x1f\x8b", b"PK\x03\x04",
    b"\x80\x04\x95", b"\x93NUMPY\x01\x00", b"\x89PNG\r\n\x1a\n", b"version https://git-lfs",
)
# fmt: on


def replace(content: bytes, rng: Random) -> bytes:
    """Replace everything: with nothing, zeros, noise or another format's magic bytes."""
    head = rng.choice(_HEADS)
    return head + rng.choice((b"", rng.randbytes(rng.randrange(200)), content[len(head) :]))


BYTES: tuple[Mutation, ...] = (
    flip_bits,
    truncate,
    insert,
    delete,
    repeat,
    overwrite,
    replace,
)


def spliced(other: bytes) -> Mutation:
    """A mutation that joins the beginning of its input to the end of `other`."""

    def splice(content: bytes, rng: Random) -> bytes:
        return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]

    return splice


# JSON.


class _Raw:
    """Literal JSON text: 1e400, or a thousand brackets."""

    def __init__(self, text: str) -> None:
        self.text = text


def json_value(rng: Random, instead_of: object = None) -> object:
    """A value that a schema may not expect, mostly of another type than before."""
    kind = rng.randrange(10)
    if kind < 3 or (isinstance(instead_of, int | float) and kind < 6):
        return rng.choice((rng.choice(INTEGERS), _Raw(rng.choice(FLOATS))))
    if kind < 7:
        return rng.choice(STRINGS)
    if kind == 7:
        depth, (opened, closed) = rng.choice(DEPTHS), rng.choice((("[", "]"), ('{"a":', "}")))
        return _Raw(opened * depth + "1" * (opened != "[") + closed * depth)
    odd: tuple[object, ...] = (None, True, False, [], {}, [0], [[]], {"a": 0}, [None] * 1000)
    return rng.choice(odd)


def change_json(content: bytes, rng: Random) -> bytes:
    """Change one place in a JSON value: another value, or a key lost, renamed, added or doubled."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return rng.choice(BYTES)(content, rng)
    return _written(_changed(value, rng)).encode("utf-8", "surrogatepass")


def change_json_lines(content: bytes, rng: Random) -> bytes:
    """The same for one line of a file of JSON lines; or a line lost, doubled, moved, emptied."""
    lines = content.splitlines()
    if not lines:
        return rng.choice(BYTES)(content, rng)
    at, kind = rng.randrange(len(lines)), rng.randrange(8)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif kind == 2:
        rng.shuffle(lines)
    elif kind == 3:
        lines[at] = rng.choice((b"", b"null", b"[]", b"{}", b"3", b'"a"'))
    else:
        lines[at] = change_json(lines[at], rng)
    return b"\n".join(lines) + rng.choice((b"\n", b"\n", b"\n", b"", b"\n\n"))


JSON: tuple[Mutation, ...] = (change_json, change_json, change_json, *BYTES)
JSON_LINES: tuple[Mutation, ...] = (change_json_lines, change_json_lines, change_json_lines, *BYTES)


def _changed(value: Any, rng: Random) -> Any:
    """A copy with one place changed, at any depth."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = rng.choice(list(keys))
        copied: Any = value.copy()
        if rng.random() < 0.15:
            del copied[key]
        elif isinstance(copied, dict) and rng.random() < 0.2:
            _rekey(copied, key, rng)
        else:
            copied[key] = _changed(value[key], rng)
        return copied
    return json_value(rng, value)


def _rekey(value: dict[Any, Any], key: Any, rng: Random) -> None:
    """Rename a key, add one, or duplicate one (as `_Twice`, resolved by the writer)."""
    kind = rng.randrange(3)
    if kind == 0:
        value[rng.choice(STRINGS)] = value.pop(key)
    elif kind == 1:
        value[rng.choice(STRINGS)] = json_value(rng)
    else:
        value[_Twice(key)] = json_value(rng)


class _Twice(str):
    """A key equal to no other, so that a dictionary can hold a duplicate."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


def _written(value: object) -> str:
    """JSON text with raw values and duplicate keys."""
    if isinstance(value, _Raw):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(k)}: {_written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(str.__str__(text))


# Archives: gzip, zip with .npy members, safetensors.

BOMB = 2**29
"""Unpacked size of a half-megabyte bomb."""

_MOST = 2**26
"""Input that unpacks to more is already a bomb, and is left as it is."""


def within_gzip(inner: Sequence[Mutation]) -> Mutation:
    """Mutate the content of a gzip file; sometimes make it unpack to `BOMB` bytes."""

    def change(content: bytes, rng: Random) -> bytes:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                unpacked = file.read(_MOST + 1)
        except (OSError, EOFError, zlib.error):
            return rng.choice(BYTES)(content, rng)
        if len(unpacked) > _MOST:
            return content
        if rng.random() < 0.02:
            return packed(unpacked) + _zeros_packed()
        if rng.random() < 0.1:  # several members (allowed), or trailing bytes
            return packed(unpacked[:9]) + packed(unpacked[9:]) + rng.choice((b"", b"\0", b"x"))
        return packed(mutate(unpacked, rng, inner))

    return change


def packed(content: bytes) -> bytes:
    """Compress with gzip, without timestamps."""
    return gzip.compress(content, 1, mtime=0)


@functools.cache
def _zeros_packed() -> bytes:
    """A gzip member that unpacks to `BOMB` zeros, a thousand times its size."""
    buffer, block = io.BytesIO(), bytes(2**20)
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
        for _ in range(BOMB // len(block)):
            file.write(block)
    return buffer.getvalue()


@functools.cache
def _array_of_zeros(name: str) -> bytes:
    """A zip with a single array of `BOMB` zeros."""
    buffer, block = io.BytesIO(), bytes(2**20)
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w") as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": (BOMB,)}
            np.lib.format.write_array_header_1_0(member, header)
            for _ in range(BOMB // len(block)):
                member.write(block)
    return buffer.getvalue()


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
        body = rng.choice((_extreme_items, *BYTES))(body, rng)
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


def _extreme_items(body: bytes, rng: Random) -> bytes:
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
            if sum(each.file_size for each in archive.infolist()) > _MOST:
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
        return _array_of_zeros(name)
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


def change_safetensors(content: bytes, rng: Random) -> bytes:
    """Change a safetensors header (shapes, types, offsets, names, facts), length or values."""
    length = int.from_bytes(content[:8], "little")
    head, body = content[8 : 8 + length], content[8 + length :]
    kind = rng.randrange(8)
    if kind == 0 or not head.startswith(b"{"):
        return rng.choice((overwrite, *BYTES))(content, rng)
    if kind == 1:
        return (rng.choice(INTEGERS) % 2**64).to_bytes(8, "little") + head + body
    if kind < 4:
        return content[: 8 + length] + _extreme_items(body, rng)
    head = change_json(head, rng)
    return len(head).to_bytes(8, "little") + head + body


IDX: tuple[Mutation, ...] = (overwrite, overwrite, overwrite, *BYTES)
NPZ: tuple[Mutation, ...] = (*[change_zip] * 3, *BYTES)
SAFETENSORS: tuple[Mutation, ...] = (*[change_safetensors] * 3, *BYTES)
GZIPPED_IDX: tuple[Mutation, ...] = (*[within_gzip(IDX)] * 4, *BYTES)


# Command lines and arguments.


def change_arguments(arguments: Sequence[str], rng: Random) -> list[str]:
    """Drop, double, swap or change words of a command line, or give flags odd values."""
    words = list(arguments)
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(words) + 1)
        kind = rng.randrange(7)
        if kind == 0 and words:
            del words[at - 1]
        elif kind == 1 and words:
            words.insert(at, words[rng.randrange(len(words))])
        elif kind == 2:
            words.insert(at, odd_word(rng))
        elif kind == 3 and words:
            first, second = rng.randrange(len(words)), rng.randrange(len(words))
            words[first], words[second] = words[second], words[first]
        elif words:
            words[at - 1] = odd_word(rng, words[at - 1])
    return words


def odd_word(rng: Random, instead_of: str = "") -> str:
    """An extreme number, odd text, or a damaged form of the word."""
    kind = rng.randrange(4)
    if kind == 0:
        return str(rng.choice(INTEGERS))
    if kind == 1:
        return rng.choice((*FLOATS, "1e5", "0x10", "1_000", "+1", "5" * 5000))
    if kind == 2 and instead_of:
        damaged = rng.choice(BYTES)(instead_of.encode("utf-8", "surrogatepass"), rng)
        return damaged.decode("utf-8", "surrogateescape")
    return rng.choice(STRINGS)


# fmt: off
EXPRESSIONS = (
    "None", "True", "False", "0", "-1", "1", "3", "10**12", "2**63", "-2**63 - 1", "2**64",
    "10**30", "0.5", "1.5", "-0.5", "float('nan')", "float('inf')", "-float('inf')", "1e308", "1j",
    "''", "'a'", "'0'", "'\\ud800'", "'a' * 100_000", "b'a'", "[]", "()", "{}", "set()", "[None]",
    "[1, 'a']", "[[1], [2, 3]]", "{'a': 1}", "range(3)", "range(0)", "range(10**12)", "object()",
    "int", "lambda *a, **k: None", "iter([1, 2])", "slice(3)", "Ellipsis", "Path('.')",
    "Path('/nowhere/at/all')", "np.nan", "np.int64(3)", "np.float32(0.5)", "np.zeros(3)",
    "np.zeros((2, 1, 8, 8))", "np.array('a')", "np.array([None])", "np.array(5)",
    "torch.zeros(())", "torch.zeros(3)", "torch.zeros(0, 1, 8, 8)",
    "torch.full((2, 1, 8, 8), torch.nan)", "torch.full((2, 1, 8, 8), 2.0)",
    "torch.zeros(2, 1, 8, 8).long()", "torch.zeros(2, 3, 5, 7)", "torch.zeros(2).bool()",
    "torch.tensor(3)", "torch.zeros(2, device='meta')", "torch.nn.Identity()",
    "torch.nn.Linear(64, 10)", "torch.float32", "torch.Generator()", "torch.device('cpu')",
)
# fmt: on
"""Python values as source text, so that failures can be saved; names: np, torch, Path."""


def change_call(arguments: dict[str, str], rng: Random) -> dict[str, str]:
    """Replace one to three arguments of a call; each is an expression."""
    changed = dict(arguments)
    for name in rng.sample(sorted(changed), min(len(changed), rng.choice((1, 1, 2, 3)))):
        changed[name] = rng.choice(EXPRESSIONS)
    return changed
