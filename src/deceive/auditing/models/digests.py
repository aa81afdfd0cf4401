"""SHA-256 of what a model came from: its files, or its parameters."""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def together(digests: Mapping[str, str]) -> str:
    """One SHA-256 for several files; for a single file, its own.

    >>> together({"net.onnx": "ab12"})
    'ab12'
    """
    first, *others = digests.values()
    return hashlib.sha256("".join([first, *others]).encode()).hexdigest() if others else first


def external_data(path: Path) -> list[Path]:
    """The external weight files of an ONNX file, as far as they are in or below its folder.

    ONNX names them in entries with the key `location`; onnxruntime opens no others.
    """
    content, folder = path.read_bytes(), path.parent.resolve()
    files = set()
    for entry in _LOCATION.finditer(content):
        length, start = _varint(content, entry.end())
        named = folder / content[start : start + length].decode("utf-8", "replace")
        # Unlike `Path.is_file`, this is False for strings that can't be paths.
        if os.path.isfile(named) and named.resolve().is_relative_to(folder):  # noqa: PTH113
            files.add(named.resolve())
    return sorted(files)


# The head of such an entry in the wire format of protobuf: field 1, its length and content, and
# field 2, whose length and content follow.
_LOCATION = re.compile(rb"\x0a\x08location\x12")


def _varint(content: bytes, start: int) -> tuple[int, int]:
    """The varint at a position (7 bits per byte, lowest first), and the position after it."""
    value = shift = 0
    for place in range(start, min(start + 10, len(content))):
        value |= (content[place] & 0x7F) << shift
        shift += 7
        if content[place] < 0x80:
            return value, place + 1
    return 0, len(content)


def fingerprint(model: nn.Module) -> str:
    """SHA-256 of the parameters and buffers; empty if one can't be read, as in a lazy layer.

    For the record only: models are identified by their answers (`identity`).
    """
    digest = hashlib.sha256()
    try:
        for name, tensor in model.state_dict().items():
            digest.update(name.encode())
            if isinstance(tensor, Tensor):
                content = tensor.detach().cpu().resolve_conj().contiguous().view(-1)
                digest.update(content.view(torch.uint8).numpy().tobytes())
    except Exception:  # lazy, sparse, without data, or a custom state_dict
        return ""
    return digest.hexdigest()
