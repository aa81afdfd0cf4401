"""The built page for a wheel: networks are put together again from the weights beside it."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from deceive.common.files import read_json, write_text
from deceive.webpage.serving import LIST

_PARTS = "parts.json"  # of each network: what is to be inserted where
_FOR_CARDS = "ort-wasm-simd-threaded.asyncify.*"
_LEAST = 1024  # bytes; smaller tensors stay in the file


def pack(dist: Path, models: Path, folder: Path) -> None:
    """Copy a built page into `folder`, without the weights that `models` holds too.

    The runtime for graphics cards is left out: it is large, and the panel Teach runs without it.

    Args:
        dist: the built page.
        models: the networks that it was built from.
        folder: replaced if it is there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(dist, folder, ignore=shutil.ignore_patterns(_FOR_CARDS))
    listed = read_json(folder / LIST, "the list of a built page")
    listed["files"] = [name for name in listed["files"] if (folder / name).is_file()]
    write_text(folder / LIST, json.dumps(listed, indent=1) + "\n")
    parts: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((folder / "networks").glob("*.onnx")):
        weights = models / f"{path.stem}.safetensors"
        if weights.is_file():
            rest, parts[path.name] = _without(path.read_bytes(), _tensors(weights))
            path.write_bytes(rest)
    write_text(folder / _PARTS, json.dumps(parts))


def unpack(folder: Path, models: Path, out: Path) -> Path:
    """The page that `pack` was given, in `out`, which is not there yet; returns `out`."""
    parts = read_json(folder / _PARTS, "the list of a packed page's parts")
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns(_PARTS))
    for name, inserted in parts.items():
        path = out / "networks" / name
        path.write_bytes(
            _together(path.read_bytes(), inserted, _tensors(models / f"{path.stem}.safetensors"))
        )
    assert (out / LIST).is_file()
    return out


def _tensors(path: Path) -> dict[str, bytes]:
    """The bytes of each large tensor of a file, as it is and transposed."""
    found = {}
    for name, array in load_file(path).items():
        if array.nbytes >= _LEAST:
            found[name] = array.tobytes()
            if array.ndim == 2:
                found[f"{name}, transposed"] = np.ascontiguousarray(array.T).tobytes()
    return found


def _without(content: bytes, tensors: dict[str, bytes]) -> tuple[bytes, list[dict[str, Any]]]:
    """The content with these tensors cut out, and where each one was, in order."""
    places = sorted((content.find(raw), name) for name, raw in tensors.items())
    kept, cut, end = [], [], 0
    for at, name in places:
        if at >= end:  # found, and not inside another one
            kept.append(content[end:at])
            cut.append({"at": at, "tensor": name})
            end = at + len(tensors[name])
    return b"".join([*kept, content[end:]]), cut


def _together(rest: bytes, inserted: list[dict[str, Any]], tensors: dict[str, bytes]) -> bytes:
    whole, taken = bytearray(), 0
    for part in inserted:
        missing = part["at"] - len(whole)
        whole += rest[taken : taken + missing]
        taken += missing
        whole += tensors[part["tensor"]]
    return bytes(whole + rest[taken:])
