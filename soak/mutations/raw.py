"""Damage to plain bytes."""

import struct
from collections.abc import Sequence

from soak.mutations.values import INTEGERS, Mutation, Random


def mutate(content: bytes, rng: Random, kinds: Sequence[Mutation]) -> bytes:
    """Damage `content` with one to three of these mutations, mostly one."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(kinds)(content, rng)
    return content


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
