"""Damage to safetensors files."""

from soak.mutations.arrays import extreme_items
from soak.mutations.jsons import change_json
from soak.mutations.raw import BYTES, overwrite
from soak.mutations.values import INTEGERS, Mutation, Random


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
        return content[: 8 + length] + extreme_items(body, rng)
    head = change_json(head, rng)
    return len(head).to_bytes(8, "little") + head + body


SAFETENSORS: tuple[Mutation, ...] = (
    change_safetensors,
    change_safetensors,
    change_safetensors,
    *BYTES,
)
