"""The built page for a wheel: networks are put together again from the weights beside it."""

import hashlib
import json
import lzma
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from deceive.common.errors import InputError
from deceive.common.files import read_json, write_text
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_network
from deceive.webpage.light import light_copy
from deceive.webpage.serving import LIST, Later

PACKED = "parts.json"  # of each file with weights left out: what is to be inserted where
_LEFT_OUT = ("ort-wasm-simd-threaded.asyncify.*", "notebooks")
_SITE = "https://OWNER.github.io/deceive/tutorials/"
_LEAST = 1024  # bytes; smaller tensors stay in the file
_EPSILON = np.float32(1e-5)  # of torch's batch normalisation

Array = NDArray[Any]


def pack(dist: Path, models: Path, folder: Path) -> None:
    """Copy a built page into `folder`, without the weights that `models` holds too.

    Left out, because they are large, are the runtime for graphics cards, without which the panel
    Teach runs, and the notebooks: links lead to those on the site.

    Args:
        dist: the built page.
        models: the networks that it was built from.
        folder: replaced if it is there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(dist, folder, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    listed = read_json(folder / LIST, "the list of a built page")
    listed["files"] = [name for name in listed["files"] if (folder / name).is_file()]
    write_text(folder / LIST, json.dumps(listed, indent=1) + "\n")
    manifest = folder / "networks" / "manifest.json"
    described = read_json(manifest, "the page's networks")
    write_text(manifest, json.dumps(described | {"notebooksAt": _SITE}, indent=1) + "\n")
    parts: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "networks").glob("*.onnx")):
        weights = models / f"{path.stem}.safetensors"
        if weights.is_file():
            content = path.read_bytes()
            rest, cut = _without(content, _tensors(weights))
            parts[path.name] = {"of": path.stem, "sha256": _sha256(content), "cut": cut}
            path.write_bytes(rest)
    for light in (folder / "networks").glob("*.light"):
        parts[light.name] = {"of": described["default"], "sha256": _sha256(light.read_bytes())}
        light.unlink()
    write_text(folder / PACKED, json.dumps(parts))


def unpack(folder: Path, out: Path, weights_of: Callable[[str], Path]) -> Later:
    """The page that `pack` was given, in `out`, which is not there yet.

    Args:
        folder: the packed page; the wheel has compressed some of its files further, to `.xz`.
        out: gets all files but the networks.
        weights_of: where the weights of a network are.

    Returns:
        For each file of `networks` that holds weights, by its path, a function that puts it
        together. It raises `InputError` when the weights are missing or don't fit.
    """
    parts = read_json(folder / PACKED, "the list of a packed page's parts")
    shutil.copytree(folder, out, ignore=shutil.ignore_patterns(PACKED))
    for path in out.rglob("*.xz"):  # the page takes them uncompressed, too
        path.with_suffix(".gz").write_bytes(lzma.decompress(path.read_bytes()))
        path.unlink()
    for name in parts:
        (out / "networks" / name).unlink(missing_ok=True)
    assert (out / LIST).is_file()
    return {
        f"networks/{name}": _made(folder, name, part, weights_of) for name, part in parts.items()
    }


def _made(
    folder: Path, name: str, part: dict[str, Any], weights_of: Callable[[str], Path]
) -> Callable[[], bytes]:
    """A function that puts one file together and checks it."""

    def make() -> bytes:
        weights = weights_of(part["of"])
        if "cut" in part:
            rest = (folder / "networks" / name).read_bytes()
            content = _together(rest, part["cut"], dict(_tensors(weights)))
        else:
            network = load_network(weights)
            light = light_copy(network) if isinstance(network, Classifier) else None
            content = light[0] if light else b""
        if _sha256(content) != part["sha256"]:
            raise InputError(f"page: expected {name} as it was built, got another from {weights}")
        return content

    return make


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _tensors(path: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of each large tensor of a file, in the forms that a graph may hold it in."""
    tensors = load_file(path)
    whole = [(name, array) for name, array in tensors.items() if array.nbytes >= _LEAST]
    for name, array in [*whole, *_folded(tensors)]:
        yield name, array.tobytes()
        if array.ndim == 2:
            yield f"{name}, transposed", np.ascontiguousarray(array.T).tobytes()


def _folded(tensors: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """Weights with each batch normalisation that may come after them folded in, as torch does."""
    for name, variance in tensors.items():
        norm = name.removesuffix(".running_var")
        for layer, weight in tensors.items() if norm != name else ():
            if weight.ndim > 1 and len(weight) == len(variance) and weight.nbytes >= _LEAST:
                scale = tensors[f"{norm}.weight"] * (1 / np.sqrt(variance + _EPSILON))
                yield f"{layer} by {norm}", weight * scale.reshape(-1, *[1] * (weight.ndim - 1))


def _without(
    content: bytes, tensors: Iterator[tuple[str, bytes]]
) -> tuple[bytes, list[dict[str, Any]]]:
    """The content with these tensors cut out, and where each one was, in order."""
    places = sorted((content.find(raw), name, len(raw)) for name, raw in tensors)
    kept, cut, end = [], [], 0
    for at, name, size in places:
        if at >= end:  # found, and not inside another one
            kept.append(content[end:at])
            cut.append({"at": at, "tensor": name})
            end = at + size
    return b"".join([*kept, content[end:]]), cut


def _together(rest: bytes, inserted: list[dict[str, Any]], tensors: dict[str, bytes]) -> bytes:
    whole, taken = bytearray(), 0
    for part in inserted:
        missing = part["at"] - len(whole)
        whole += rest[taken : taken + missing]
        taken += missing
        whole += tensors.get(part["tensor"], b"")  # the checksum tells
    return bytes(whole + rest[taken:])
