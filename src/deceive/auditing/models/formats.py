"""Loading models: from the user's own code, a file, another library or an object.

`module:factory` runs the user's own code, intentionally. Safetensors, ONNX and Keras files and
weights by name hold only data; the other formats can run code when they are read, and are opened
only if the user trusts them.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from deceive.auditing.models.digests import external_data, sha256_of, together
from deceive.auditing.models.doors import (
    huggingface,
    keras,
    timm,
    torchvision,
)
from deceive.auditing.models.doors.objects import of_object
from deceive.auditing.models.importing import imported, is_importable, own_code
from deceive.auditing.models.interface import DeviceName
from deceive.auditing.models.loaded import AnyModel, Format, Loaded
from deceive.auditing.models.missing import no_model
from deceive.auditing.models.onnx_model import open_onnx
from deceive.auditing.models.torch_files import READERS, kind_of_archive
from deceive.auditing.models.wants import NOTHING, Wants, declared_shape
from deceive.common.errors import InputError
from deceive.common.files import read_errors
from deceive.common.runtime import forbid_telemetry
from deceive.storage.models import load_card, load_network
from deceive.storage.shipped import shipped_names

WANT_TRUST: tuple[Format, ...] = ("torch.export", "TorchScript")
"""Formats that can execute code when they are opened."""

DOORS: dict[str, Callable[..., Loaded]] = {
    "timm": timm.load,
    "hf": huggingface.load,
    "torchvision": torchvision.load,
    "keras": keras.load,
}
"""How a model is loaded that another library builds, by what stands before the colon."""


def load_model(model: AnyModel, *, trust: bool = False, device: DeviceName = "auto") -> Loaded:
    """A model of any format.

    Args:
        model: `package.module:factory` or `path/to/file.py:factory` (or the name of an
            `nn.Module`) to be imported, with the working directory on the path; `timm:NAME`,
            `hf:ID-or-folder`, `torchvision:NAME`; a shipped network's name; a file: `.safetensors`
            with our card, `.onnx`, `.keras`, `.h5`, `.pt2` (torch.export), TorchScript; or the
            object itself.
        trust: open files of formats that can run code when they are read.
        device: where an ONNX file runs. Modules stay where they are.

    Raises:
        InputError: when there is no such model, it cannot be read, or its format wants trust.
    """
    forbid_telemetry()  # a user's own code may import ONNX Runtime too
    if not isinstance(model, str | Path):
        loaded = of_object(model)
        if loaded is None:
            raise InputError(
                "model: expected a torch.nn.Module, a callable, a fitted classifier, or where to "
                f"find one, got {type(model).__name__}"
            )
        return loaded
    spec = str(model)
    door, _, rest = spec.partition(":")
    if rest and door in DOORS:
        return DOORS[door](rest, trust=trust)
    path = Path(spec)
    with read_errors(path):
        there = path.is_file()
    if spec in shipped_names() or (there and spec.lower().endswith(".safetensors")):
        return _ours(spec)
    if there and path.suffix != ".py":
        return _file(path, trust, device)
    if is_importable(spec):
        return _from_code(spec)
    raise no_model(spec, DOORS)


def _shape_of(program: nn.Module) -> Wants:
    """What the shape says that a `torch.export` program was made for."""
    wants, layout = declared_shape(getattr(program, "image_shape", ()))
    return wants if layout == "channels first" else NOTHING


def _ours(spec: str) -> Loaded:
    card, network = load_card(spec), load_network(spec)
    return Loaded(
        Path(spec).stem,
        "safetensors",
        network,
        card.weights_sha256,
        {f"{Path(spec).stem}.safetensors": card.weights_sha256},
        card.rubbish_class,
        card.seconds,
        wants=Wants(card.image_shape[0], card.image_shape[1:], source="its card"),
    )


def _from_code(spec: str) -> Loaded:
    """The model from the user's own code; an error in it becomes an `InputError`."""
    module, _, name = spec.rpartition(":")
    made = imported("model", spec)
    loaded = None if isinstance(made, type) else of_object(made)
    if loaded is None or loaded.format == "callable":  # it makes the model
        with own_code("model", spec, module):
            made = made()
        loaded = of_object(made)
    if loaded is None:
        raise InputError(
            f"model: expected {spec} to give a torch.nn.Module, a callable or a fitted classifier, "
            f"got {type(made).__name__}"
        )
    return replace(loaded, name=name)


def _file(path: Path, trust: bool, device: DeviceName) -> Loaded:
    if path.suffix.lower() == ".onnx":
        network = open_onnx(path, device)
        digests = {each.name: sha256_of(each) for each in (path, *external_data(path))}
        return Loaded(path.stem, "ONNX", network, together(digests), digests, wants=network.wants)
    if path.suffix.lower() in keras.SUFFIXES:
        return keras.load(str(path), trust=trust)
    kind = kind_of_archive(path)
    if kind is None:
        raise InputError(
            f"{path}: expected .safetensors with our card, .onnx, .keras, .pt2 or TorchScript; "
            "weights alone don't say which network they belong to, and pickles are never opened: "
            "write a function that returns the model, and name it as my_model.py:classifier"
        )
    if not trust:
        raise InputError(
            f"{path}: expected a format that can't execute code, got a {kind} file; "
            "pass --trust if you trust its author"
        )
    try:
        digest = sha256_of(path)
        program = READERS[kind](path)
        wants = _shape_of(program)
        return Loaded(path.stem, kind, program, digest, {path.name: digest}, wants=wants)
    except Exception as error:  # each reader has errors of its own
        line = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path}: expected a {kind} file; {line[0]}") from error
