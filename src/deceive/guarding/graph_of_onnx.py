"""The ONNX graph of a guarded ONNX file: the guard's graph, joined to the file's own."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from deceive.auditing.models.answers import as_tensor
from deceive.auditing.models.leaves import leaves_of
from deceive.auditing.models.onnx_model import open_onnx
from deceive.auditing.models.subject import Subject
from deceive.guarding.door import OUTPUTS, Door
from deceive.guarding.forms import Form
from deceive.guarding.model import GuardedModel
from deceive.guarding.zipped import before_zipmap
from deceive.storage.tracing import store_in_half, traced

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

PREFIX = "guard"
"""What the names within the guard's graph begin with, before a number where need be, and a "/"."""

# The operators of this version can be written in any later one, and in no earlier one.
_LEAST = 18


@dataclass(frozen=True, eq=False)
class OnnxReader:
    """A classifier in an ONNX file."""

    proto: "ModelProto"
    form: Form
    input: str
    batch: int | None
    """How many images it takes at once; None for any number."""
    scores: str
    """The name of the tensor in its graph that holds the scores."""
    order: tuple[int, ...] | None
    """The column of that tensor for each that the classifier was met with; None if the same."""
    example: Tensor
    """The scores for some images, as the graph gives them."""


def read_onnx(path: Path, subject: Subject, images: Tensor) -> OnnxReader:
    """The classifier in a file, with weights beside it.

    Args:
        path: the file.
        subject: the same, after it has met the data.
        images: (N, C, H, W) in [0, 1].

    Raises:
        InputError: when its scores aren't a tensor in its graph.
    """
    import onnx

    proto, model = onnx.load(path), open_onnx(path, "cpu")
    answer = model(subject.scaling(images))
    assert model.layout is not None
    dtype = torch.from_numpy(np.zeros(0, model.dtype)).dtype
    form = Form(subject.image_shape, model.layout, subject.scaling, dtype)
    name = subject.loaded.output or next(iter(answer))
    scores, order = before_zipmap(proto.graph, name)
    example = as_tensor(leaves_of(answer)[name])
    if order is not None:
        example = example.float()[:, torch.tensor(order).argsort()]
    return OnnxReader(proto, form, model.input, model.batch, scores, order, example)


def graph_of_onnx(
    guarded: GuardedModel, subject: Subject, reader: OnnxReader, images: Tensor
) -> "ModelProto":
    """One graph of a classifier and its guard.

    The guard is written in the version of the classifier's operators; an old classifier is brought
    to the guard's.

    Args:
        guarded: the guarded classifier.
        subject: the classifier.
        reader: the same, in its file.
        images: those of `read_onnx`.

    Raises:
        InputError: when the guard can't be traced.
    """
    from onnx.version_converter import convert_version

    guard, own = _guard(guarded, subject, reader, images), _prepared(reader)
    version = _version(own)
    if version is None:
        own.opset_import.add(domain="", version=_LEAST)
    elif version < _LEAST:
        own = _plain(convert_version(own, _LEAST))
    guard = convert_version(guard, max(version or _LEAST, _LEAST))
    return _joined(own, guard, reader)


def _version(proto: "ModelProto") -> int | None:
    """Of the standard operators; None if there are none."""
    return {each.domain: each.version for each in proto.opset_import}.get("")


def _guard(
    guarded: GuardedModel, subject: Subject, reader: OnnxReader, images: Tensor
) -> "ModelProto":
    """The guard alone, as a graph of what the classifier takes and of its scores."""
    door, order = Door(guarded, subject.reading), reader.order

    def function(taken: Tensor, scores: Tensor) -> tuple[Tensor, ...]:
        ordered = scores if order is None else scores[:, list(order)]
        return door(reader.form.images(taken), ordered)

    inputs = {"input": reader.form.given(images), "scores": reader.example}
    with torch.no_grad():
        proto = traced(function, inputs, list(OUTPUTS))
    store_in_half(proto)
    return proto


def _prepared(reader: OnnxReader) -> "ModelProto":
    """A copy of the classifier's graph, as it can be joined to another."""
    proto = type(reader.proto)()
    proto.CopyFrom(reader.proto)
    weights = {each.name for each in proto.graph.initializer}
    inputs = [each for each in proto.graph.input if each.name not in weights]
    del proto.graph.input[:]  # in old files weights are inputs too
    proto.graph.input.extend(inputs)
    proto.ir_version = max(proto.ir_version, 4)
    return _plain(proto)


def _plain(proto: "ModelProto") -> "ModelProto":
    """The same, with each domain of operators named once, the standard one first."""
    versions: dict[str, int] = {}
    for each in proto.opset_import:
        domain = "" if each.domain == "ai.onnx" else each.domain
        versions[domain] = max(each.version, versions.get(domain, 0))
    del proto.opset_import[:]
    for domain in sorted(versions):
        proto.opset_import.add(domain=domain, version=versions[domain])
    return proto


def _joined(own: "ModelProto", guard: "ModelProto", reader: OnnxReader) -> "ModelProto":
    """One graph of both: the classifier's own input and outputs, and the guard's outputs."""
    from onnx import compose, helper

    outputs, images = [each.name for each in own.graph.output], own.graph.input[0]
    taken = _names(own.graph)
    prefix = _free(PREFIX, [name.partition("/")[0] for name in taken]) + "/"
    guard = _named_apart(compose.add_prefix(guard, prefix), prefix, taken)
    for value in guard.graph.output:
        value.type.tensor_type.shape.dim[0].CopyFrom(images.type.tensor_type.shape.dim[0])
    guard.ir_version = own.ir_version = max(guard.ir_version, own.ir_version)
    own.graph.output.append(images)
    if reader.scores not in outputs:
        kind = helper.np_dtype_to_tensor_dtype(reader.example.numpy().dtype)
        own.graph.output.append(helper.make_tensor_value_info(reader.scores, kind, None))
    joined = compose.merge_models(
        own,
        guard,
        [(reader.input, f"{prefix}input"), (reader.scores, f"{prefix}scores")],
        outputs=[*outputs, *(each.name for each in guard.graph.output)],
        producer_name="deceive",
        producer_version="",
        doc_string="",
    )
    joined.graph.ClearField("value_info")
    return joined


def _names(graph: "GraphProto") -> set[str]:
    """The names of the tensors in a graph."""
    found = {each.name for each in (*graph.input, *graph.output, *graph.initializer)}
    return found.union(*((*node.input, *node.output) for node in graph.node))


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number behind it if it is taken: guard, guard_2, guard_3."""
    numbered = (f"{name}_{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)


def _named_apart(guard: "ModelProto", prefix: str, taken: set[str]) -> "ModelProto":
    """The guard's graph, its outputs without the prefix, named as nothing in another graph is."""
    names = {prefix + name: _free(name, taken) for name in OUTPUTS}
    for node in guard.graph.node:
        for values in (node.input, node.output):
            for place, value in enumerate(values):
                values[place] = names.get(value, value)
    for value in guard.graph.output:
        value.name = names[value.name]
    return guard
