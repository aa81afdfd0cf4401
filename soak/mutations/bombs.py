"""Small files that unpack to enormous ones."""

import functools
import gzip
import io
import zipfile

import numpy as np

BOMB = 2**29
"""Unpacked size of a half-megabyte bomb."""

MOST = 2**26
"""Input that unpacks to more is already a bomb, and is left as it is."""


@functools.cache
def zeros_packed() -> bytes:
    """A gzip member that unpacks to `BOMB` zeros, a thousand times its size."""
    buffer, block = io.BytesIO(), bytes(2**20)
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
        for _ in range(BOMB // len(block)):
            file.write(block)
    return buffer.getvalue()


@functools.cache
def array_of_zeros(name: str) -> bytes:
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
