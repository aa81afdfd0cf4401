"""The one ONNX file of a guarded classifier, `guarded.onnx`.

It takes what the classifier takes: for an ONNX file its own input, by its own name and type, in its
own layout and scaling; for a torch module `input` (N, C, H, W) float32, in the module's scaling. It
gives what the classifier gives, under its own names (the scores of a torch module as `output`). Its
other outputs are (N,) each: `none_of_these`, the probability that the image shows none of the
classes; `confidence`, the greatest probability of a class, behind the guard; `guarded_class`, that
class, int64, as the data number it; and `passes`, bool, whether the confidence reaches the
threshold. The guard is shown pixels clamped to the range they have in images.

There is a file for ONNX files, which `onnx` joins the guard's graph to, and for torch modules that
can be traced. It is kept only if ONNX Runtime gives with it what torch gives. Otherwise a sentence
says why not.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from deceive.auditing.models.importing import importable
from deceive.auditing.models.loaded import AnyModel
from deceive.auditing.models.subject import Subject
from deceive.common import arguments
from deceive.common.errors import InputError, WriteError
from deceive.common.files import replacing
from deceive.common.raising import raised
from deceive.common.runtime import onnx_packages
from deceive.fooling.starts import begin
from deceive.guarding.card import NAME
from deceive.guarding.graph_check import Checked, check_agrees
from deceive.guarding.graph_of_onnx import graph_of_onnx, read_onnx
from deceive.guarding.graph_of_torch import INPUT, TorchReader, graph_of_torch
from deceive.guarding.loading import composed, loaded_again
from deceive.guarding.model import GuardedModel
from deceive.guarding.sample import read_sample

FILE = "guarded.onnx"
"""The file's name in the folder of a guarded classifier."""

# More bytes than this don't fit into one file of protobuf.
_MOST = 2**31 - 1

_INSTEAD = {
    "scikit-learn": "a scikit-learn object has no graph; export it with skl2onnx and guard that "
    "file",
    "Keras": "a Keras model has no graph that can be joined to the guard's; export it with "
    "model.export(path, format='onnx') and guard that file",
    "callable": "a Python function has no graph; guard an ONNX file or a torch.nn.Module",
    "ONNX": "the file of an ONNX Runtime session isn't known; guard the file by its path",
}


@importable()
@arguments.taking(folder=arguments.place, path=arguments.maybe(arguments.place))
def export_guarded(
    folder: Path | str,
    path: Path | str | None = None,
    model: AnyModel | None = None,
    *,
    trust: bool | None = None,
) -> Path:
    """Write the guarded classifier in a folder as one ONNX file.

    Inputs and outputs are the classifier's own, and `none_of_these`, `confidence`, `guarded_class`
    and `passes`. Needs the extra `deceive[onnx]`.

    Args:
        folder: of `deceive guard`.
        path: where the file goes; by default `guarded.onnx` in the folder.
        model: the classifier that was guarded, and
        trust: whether to open a file that may run code, both as for `load_guarded`.

    Raises:
        InputError: when the classifier can't be loaded (`load_guarded`), can't be written as one
            graph with its guard, or ONNX Runtime disagrees with torch about what it gives.
        WriteError: when the file can't be written.

    >>> from dataclasses import replace
    >>> import deceive
    >>> digits = deceive.load_data()
    >>> some = deceive.Split(digits.validation.images[:200], digits.validation.labels[:200])
    >>> less = replace(digits, validation=some)
    >>> _ = deceive.guard("study", less, out="mine", auditing=None, onnx=False)
    >>> deceive.guarding.export_guarded("mine").name  # takes some seconds  # doctest: +SKIP
    'guarded.onnx'
    """
    folder = Path(folder)
    card, subject = loaded_again(folder, model, trust=trust)
    path = folder / FILE if path is None else Path(path)
    try:
        where = str(model) if isinstance(model, str | Path) else card.reader.spec
        write_graph(path, folder, composed(folder, card, subject), subject, where)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return path


def made_or_why_not(folder: Path, guarded: GuardedModel, subject: Subject) -> str:
    """Write the file into the folder, unless it is there; return why it can't be made, or "".

    Raises `WriteError` when it can't be written.
    """
    path, card = folder / FILE, folder / NAME
    if path.is_file() and path.stat().st_mtime >= card.stat().st_mtime:
        return ""
    try:
        write_graph(path, folder, guarded, subject, guarded.card.reader.spec)
    except InputError as error:
        path.unlink(missing_ok=True)
        return str(error)
    return ""


def write_graph(
    path: Path, folder: Path, guarded: GuardedModel, subject: Subject, where: str | None
) -> None:
    """Write a guarded classifier, kept in a folder, as one ONNX file.

    Args:
        path: of the file to write.
        folder: where the guarded classifier is kept.
        guarded: the same, loaded.
        subject: its classifier.
        where: where that is; None for an object.

    Raises:
        InputError: why it can't be written as one graph, or does not do what torch does.
        WriteError: when the file can't be written.
    """
    runtime = onnx_packages()
    data, _ = read_sample(folder, guarded.card)
    real = data.test.read(slice(len(data.test)))
    noise = begin("uniform", range(8), subject.image_shape, 0).mul(255).round() / 255
    checked = torch.cat([real, noise])
    try:
        content, told = _made(guarded, subject, checked, where)
        with replacing(path) as temporary:
            temporary.write_bytes(content)
            check_agrees(runtime, temporary, guarded, checked, told)
    except (InputError, WriteError):
        raise
    except Exception as error:  # onnx's and its runtime's have no common class
        raise InputError(f"it can't be written as one ONNX graph; {raised(error)}") from error


def _made(
    guarded: GuardedModel, subject: Subject, images: Tensor, where: str | None
) -> tuple[bytes, Checked]:
    """The file's content, and what it has to do."""
    # A batch of another size than any side: the tracer takes equal sizes for the same size.
    sides = (*subject.image_shape, *guarded.network.guard.image_shape, subject.n_outputs)
    few = images[: next(n for n in range(2, 12) if n not in sides)]
    path = Path(where or "")
    if subject.loaded.preprocess is not None and subject.loaded.format == "ONNX":
        raise InputError(
            "--preprocess puts a function before the classifier's own input; make that function "
            "part of the ONNX file"
        )
    if subject.loaded.format == "ONNX" and path.is_file() and path.suffix.lower() == ".onnx":
        own = read_onnx(path, subject, few)
        proto = graph_of_onnx(guarded, subject, own, few)
        told = Checked(own.form, own.input, own.batch, path=path)
    elif isinstance(subject.loaded.model, nn.Module):
        reader = TorchReader(subject)
        proto = graph_of_torch(guarded, subject, reader, few)
        told = Checked(reader.form, INPUT, None, reader=reader, dtype=reader.dtype)
    else:
        raise InputError(_INSTEAD.get(subject.loaded.format, "it has no graph"))
    if proto.ByteSize() > _MOST:
        raise InputError(f"expected at most 2 GB in one ONNX file, got {proto.ByteSize():,} bytes")
    return proto.SerializeToString(deterministic=True), told
