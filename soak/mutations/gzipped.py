"""Damage within gzip files, and IDX files as they come."""

import gzip
import io
import zlib
from collections.abc import Sequence

from soak.mutations.bombs import MOST, zeros_packed
from soak.mutations.raw import BYTES, mutate, overwrite
from soak.mutations.values import Mutation, Random


def within_gzip(inner: Sequence[Mutation]) -> Mutation:
    """Mutate the content of a gzip file; sometimes make it unpack to `BOMB` bytes."""

    def change(content: bytes, rng: Random) -> bytes:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                unpacked = file.read(MOST + 1)
        except (OSError, EOFError, zlib.error):
            return rng.choice(BYTES)(content, rng)
        if len(unpacked) > MOST:
            return content
        if rng.random() < 0.02:
            return packed(unpacked) + zeros_packed()
        if rng.random() < 0.1:  # several members (allowed), or trailing bytes
            return packed(unpacked[:9]) + packed(unpacked[9:]) + rng.choice((b"", b"\0", b"x"))
        return packed(mutate(unpacked, rng, inner))

    return change


def packed(content: bytes) -> bytes:
    """Compress with gzip, without timestamps."""
    return gzip.compress(content, 1, mtime=0)


IDX: tuple[Mutation, ...] = (overwrite, overwrite, overwrite, *BYTES)

_WITHIN = within_gzip(IDX)
GZIPPED_IDX: tuple[Mutation, ...] = (_WITHIN, _WITHIN, _WITHIN, _WITHIN, *BYTES)
