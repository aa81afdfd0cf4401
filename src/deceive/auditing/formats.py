"""Models as they come: a factory of one's own, a file of PyTorch's or of ours, or ONNX.

`module:factory` runs the user's own code, by intent. Of files, safetensors and ONNX hold data that
nothing executes; the other formats can run code when they are read, and are not opened unless the
user says that they trust them.
"""

import hashlib
import importlib
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deceive.common.errors import InputError
from deceive.common.files import read_errors
from deceive.common.levels import Shape
from deceive.common.runtime import forbid_telemetry, onnx_runtime
from deceive.storage.models import load_card, load_network, shipped_names

Format = Literal["module", "torch.export", "TorchScript", "safetensors", "ONNX", "callable"]
# Formats that can execute code when opened.
WANT_TRUST: tuple[Format, ...] = ("torch.export", "TorchScript")

Function = Callable[[Tensor], Any]

# A model, or where to find one.
Model = str | Path | nn.Module | Function


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model before anything was asked of it."""

    name: str
    format: Format
    model: nn.Module | Function
    """Images (N, C, H, W) float32 in, (N, K) out; only an `nn.Module` has a gradient."""
    fingerprint: str = ""
    """SHA-256 of its files or its parameters; empty where there are none that can be read."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file it came from, by name; empty for code and objects."""
    rubbish_class: int | None = None
    training_seconds: float | None = None
    output: str | None = None
    """Which of several outputs holds its scores."""


def load_model(model: Model, *, trust: bool = False) -> Loaded:
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
        return Loaded(type(model).__name__, "module", model, _fingerprint(model))
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
        digests = {each.name: _sha256(each) for each in (path, *_external_data(path))}
        return Loaded(path.stem, "ONNX", network, _together(digests), digests)
    kind = _kind_of_archive(path)
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
        digest = _sha256(path)
        return Loaded(path.stem, kind, _READERS[kind](path), digest, {path.name: digest})
    except Exception as error:  # each reader has errors of its own
        line = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(f"{path}: expected a {kind} file; {line[0]}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _together(digests: Mapping[str, str]) -> str:
    """One SHA-256 for several files; for a single file, its own."""
    first, *others = digests.values()
    return hashlib.sha256("".join([first, *others]).encode()).hexdigest() if others else first


def _external_data(path: Path) -> list[Path]:
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


def _kind_of_archive(path: Path) -> Literal["torch.export", "TorchScript"] | None:
    """Told by what the archive holds: TorchScript and plain weights go by the same suffixes."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if path.suffix.lower() == ".pt2" or any(name.endswith("archive_format") for name in names):
        return "torch.export"
    return "TorchScript" if any("/code/" in name for name in names) else None


def _read_script(path: Path) -> nn.Module:
    with warnings.catch_warnings():
        # Deprecated in favour of torch.export; there are many such files all the same.
        warnings.filterwarnings("ignore", message=r"`torch\.jit", category=DeprecationWarning)
        module: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    # Frozen here, since in a copy of it the parameters count as computed ones and can't be; and
    # inside another module, since a script's own `requires_grad_` is an error.
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return nn.Sequential(module)


def _read_export(path: Path) -> nn.Module:
    return Exported(torch.export.load(path))


_READERS = {"TorchScript": _read_script, "torch.export": _read_export}


class Exported(nn.Module):
    """A `torch.export` program as a module: always in evaluation mode, for any number of images."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__()
        # In a tuple, where `eval()` doesn't find it: an exported module refuses to change its mode.
        self._held = (program.module(),)
        (image, *_) = (node for node in program.graph.nodes if node.name in _inputs_of(program))
        size = image.meta["val"].shape[0]
        self._batch = size if isinstance(size, int) else None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Exported":
        """Itself: a program has no modes, and nothing in it changes."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """What the program gives for images (N, C, H, W)."""
        (module,) = self._held
        if self._batch is None:
            answer: Tensor = module(images)
            return answer
        return torch.cat([module(part)[:n] for part, n in _batches(images, self._batch)])


def _inputs_of(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    return tuple(str(name) for name in program.graph_signature.user_inputs)


def _batches(images: Tensor, size: int) -> list[tuple[Tensor, int]]:
    """Cut into batches of just that size, the last filled up with its last image; (batch, real)."""
    parts = []
    for part in torch.split(images, size):
        filling = part[-1:].expand(size - len(part), *part.shape[1:])
        parts.append((torch.cat([part, filling]), len(part)))
    return parts


class OnnxModel:
    """An ONNX file as a function of images, run by onnxruntime on the CPU.

    Flat inputs (scikit-learn), channels first (PyTorch) and channels last (Keras) are recognised by
    the shape that the file declares. Returns all outputs by name; dictionaries (scikit-learn's
    ZipMap) become arrays in the order of their keys.
    """

    def __init__(self, path: Path) -> None:
        try:
            onnxruntime = onnx_runtime()
        except ImportError as error:
            raise InputError(
                f"{path}: expected onnxruntime to run it with; pip install 'deceive[audit]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            # Names that aren't UTF-8 raise here.
            inputs = [(each.name, each.type, each.shape) for each in self._session.get_inputs()]
            self._outputs = [each.name for each in self._session.get_outputs()]
        except Exception as error:  # onnxruntime's have no common class
            raise InputError(
                f"{path}: expected an ONNX file; {str(error).splitlines()[0]}"
            ) from error
        if len(inputs) != 1 or inputs[0][1] not in _ONNX_TYPES:
            came = ", ".join(f"{name} {kind}" for name, kind, _ in inputs)
            raise InputError(f"{path}: expected one input, of images as numbers, got {came}")
        (self._input, kind, self._shape), self._path = inputs[0], path
        self._dtype = _ONNX_TYPES[kind]
        batch = self._shape[0] if self._shape else None
        self._batch = batch if isinstance(batch, int) and batch > 0 else None

    def __call__(self, images: Tensor) -> dict[str, NDArray[Any]]:
        """All outputs by name for images (N, C, H, W), in the file's own types."""
        if self._batch is None:
            return self._ask(images)
        parts = [(self._ask(part), n) for part, n in _batches(images, self._batch)]
        return {
            name: np.concatenate([answer[name][:n] for answer, n in parts]) if value.ndim else value
            for name, value in parts[0][0].items()
        }

    def _ask(self, images: Tensor) -> dict[str, NDArray[Any]]:
        arranged = self._arrange(images).numpy()
        if self._dtype == np.uint8:
            arranged = arranged.round()
        feed = {self._input: np.ascontiguousarray(arranged.astype(self._dtype))}
        answers = self._session.run(None, feed)
        return dict(zip(self._outputs, map(_as_array, answers), strict=True))

    def _arrange(self, images: Tensor) -> Tensor:
        declared = self._shape[1:]
        layouts: list[tuple[Shape | tuple[int, ...], Callable[[Tensor], Tensor]]] = [
            (tuple(images.shape[1:]), lambda x: x),
            ((*images.shape[2:], images.shape[1]), lambda x: x.permute(0, 2, 3, 1)),
            ((images[0].numel(),), lambda x: x.flatten(1)),
        ]
        if images.shape[1] == 1:
            layouts.append((tuple(images.shape[2:]), lambda x: x[:, 0]))
        for shape, arrange in layouts:
            if len(shape) == len(declared) and all(
                size == wanted or not isinstance(wanted, int)
                for size, wanted in zip(shape, declared, strict=True)
            ):
                return arrange(images)
        raise InputError(
            f"{self._path}: expected images of shape {tuple(images.shape[1:])} as the data's, "
            f"got an input of {tuple(declared)}"
        )


def _as_array(output: Any) -> NDArray[Any]:
    if not (isinstance(output, list) and output and isinstance(output[0], dict)):
        return np.asarray(output)
    keys = sorted(output[0], key=_by_number)
    return np.array([[row[key] for key in keys] for row in output])


def _by_number(label: int | str) -> tuple[float, str]:
    """Sort key: numbers and numeric strings by value, then other strings."""
    try:
        return float(label), ""
    except ValueError:
        return float("inf"), str(label)


_ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}


def _fingerprint(model: nn.Module) -> str:
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
