"""Loading models: from the user's own factory, a file of PyTorch's or ours, or ONNX.

`module:factory` runs the user's own code, intentionally. Safetensors and ONNX files hold only data;
the other formats can run code when they are read, and are opened only if the user trusts them.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from deceive.auditing.models.digests import external_data, fingerprint, sha256_of, together
from deceive.auditing.models.onnx_model import OnnxModel
from deceive.auditing.models.torch_files import READERS, kind_of_archive
from deceive.auditing.models.wants import NOTHING, Wants
from deceive.common.errors import InputError
from deceive.common.files import read_errors
from deceive.common.runtime import forbid_telemetry
from deceive.storage.models import load_card, load_network, shipped_names

Format = Literal["module", "torch.export", "TorchScript", "safetensors", "ONNX", "callable"]
# Formats that can execute code when opened.
WANT_TRUST: tuple[Format, ...] = ("torch.export", "TorchScript")

Function = Callable[[Tensor], Any]

AnyModel = str | Path | nn.Module | Function
"""A model, or where to find one."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A loaded model that hasn't been run yet."""

    name: str
    format: Format
    model: nn.Module | Function
    """Images (N, C, H, W) float32 in, (N, K) out; only an `nn.Module` has a gradient."""
    fingerprint: str = ""
    """SHA-256 of its files or its parameters; empty if none can be read."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file it came from, by name; empty for code and objects."""
    rubbish_class: int | None = None
    training_seconds: float | None = None
    output: str | None = None
    """Which of several outputs holds its scores."""
    wants: Wants = NOTHING
    """What it declares about its images and labels."""


def load_model(model: AnyModel, *, trust: bool = False) -> Loaded:
    """A model of any format.

    Args:
        model: `package.module:factory` (or the name of an `nn.Module`) to be imported, with the
            working directory on the path; a shipped network's name; a file: `.safetensors` with
            our card, `.onnx`, `.pt2` (torch.export), TorchScript; or the object itself.
        trust: open files of formats that can run code when they are read.

    Raises:
        InputError: when there is no such model, it cannot be read, or its format wants trust.
    """
    forbid_telemetry()  # a user's own code may import ONNX Runtime too
    if isinstance(model, nn.Module):
        return Loaded(type(model).__name__, "module", model, fingerprint(model))
    if not isinstance(model, str | Path):
        if not callable(model):
            raise InputError(
                "model: expected a torch.nn.Module, a callable, or where to find one, "
                f"got {type(model).__name__}"
            )
        return Loaded(getattr(model, "__name__", type(model).__name__), "callable", model)
    spec = str(model)
    if spec in shipped_names() or spec.lower().endswith(".safetensors"):
        return _ours(spec)
    path = Path(spec)
    with read_errors(path):
        there = path.is_file()
    if there:
        return _file(path, trust)
    module, _, attribute = spec.partition(":")
    if attribute and all(part.isidentifier() for part in [*module.split("."), attribute]):
        return _imported(module, attribute)
    raise InputError(
        f"model: expected a file, a shipped network ({', '.join(shipped_names())}) or "
        f"package.module:factory, got {spec!r}"
    )


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
    )


@contextmanager
def importable() -> Iterator[None]:
    """Within the block, modules of the working directory can be imported.

    Some models import what they need on their first call.
    """
    place = str(Path.cwd())
    sys.path.insert(0, place)
    try:
        yield
    finally:
        with suppress(ValueError):  # a user's own code may have removed it
            sys.path.remove(place)


def _imported(module: str, attribute: str) -> Loaded:
    """The model from the user's own code; an error in it becomes an `InputError`."""
    try:
        with importable():
            made = getattr(importlib.import_module(module), attribute)
            if not isinstance(made, nn.Module):
                made = made()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script may end in sys.exit
        raise InputError(
            f"model: expected {module}:{attribute} to give a model; it raised {error!r}"
        ) from error
    loaded = load_model(made) if callable(made) else None
    if loaded is None:
        raise InputError(
            f"model: expected {module}:{attribute} to give a torch.nn.Module or a callable, "
            f"got {type(made).__name__}"
        )
    return Loaded(attribute, loaded.format, loaded.model, loaded.fingerprint)


def _file(path: Path, trust: bool) -> Loaded:
    if path.suffix.lower() == ".onnx":
        network = OnnxModel(path)
        digests = {each.name: sha256_of(each) for each in (path, *external_data(path))}
        return Loaded(path.stem, "ONNX", network, together(digests), digests)
    kind = kind_of_archive(path)
    if kind is None:
        raise InputError(
            f"{path}: expected .safetensors with our card, .onnx, .pt2 or TorchScript; weights "
            "alone don't say what network they are of, and pickles are never opened: name "
            "package.module:factory instead"
        )
    if not trust:
        raise InputError(
            f"{path}: expected a format that can't execute code, got a {kind} file; "
            "pass --trust if you trust its author"
        )
    try:
        digest = sha256_of(path)
        return Loaded(path.stem, kind, READERS[kind](path), digest, {path.name: digest})
    except Exception as error:  # each reader has errors of its own
        line = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path}: expected a {kind} file; {line[0]}") from error
