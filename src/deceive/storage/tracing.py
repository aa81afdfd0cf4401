"""A function of tensors as an ONNX graph."""

import logging
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from deceive.common.errors import InputError
from deceive.storage.backward import convolution_backward, max_pool2d_backward
from deceive.storage.resizing import bilinear_antialiased

if TYPE_CHECKING:
    from onnx import ModelProto

# Older converters, such as that of 2.6, can't write batch normalisation and `empty_like`.
_OLDER = tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13)

# Tensors of fewer numbers than this are stored as they are.
_SMALL = 1024


def traced(
    function: Callable[..., tuple[Tensor, ...]],
    inputs: dict[str, Tensor],
    outputs: list[str],
    fixed: Collection[str] = (),
) -> "ModelProto":
    """The function as an ONNX graph, with named inputs and outputs, for any number N of rows.

    Value and gradient are traced together to plain tensor operators, since an ordinary runtime
    knows no autograd. The inputs and outputs in `fixed` always have the traced sizes.

    Raises `InputError` when it does something that ONNX's operators can't express.
    """
    try:
        with torch.no_grad(), _quiet():
            proto = _exported(function, inputs, outputs, fixed)
    except InputError:
        raise
    except Exception as error:
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        reason = (str(first).strip() or repr(first)).splitlines()[0]
        if reason.startswith("Constraints violated"):
            reason = "the number of images is fixed in it"
        raise InputError(
            "network: expected one whose work can be written as plain ONNX operators, for any "
            f"number of images; tracing it says: {reason}"
        ) from error
    for value in (*proto.graph.input, *proto.graph.output):
        if value.name in fixed:
            continue
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    # Drop what says where on this machine each operator was traced.
    proto.graph.ClearField("value_info")
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return proto


def _exported(
    function: Callable[..., tuple[Tensor, ...]],
    inputs: dict[str, Tensor],
    outputs: list[str],
    fixed: Collection[str],
) -> "ModelProto":
    table = dict(core_aten_decompositions())
    aten = torch.ops.aten
    table[aten.convolution_backward.default] = convolution_backward
    table[aten.max_pool2d_with_indices_backward.default] = max_pool2d_backward
    table[aten._upsample_bilinear2d_aa.default] = bilinear_antialiased
    if _OLDER:
        norms = ("_native_batch_norm_legit_no_training", "_native_batch_norm_legit")
        table |= get_decompositions([getattr(aten, name).default for name in norms])
        table[aten.empty_like.default] = _empty_like
    graph = make_fx(
        function,
        decomposition_table=table,
        tracing_mode="symbolic",
        _allow_non_fake_inputs=True,  # the weights
    )(*inputs.values())
    # Older exporters ask how many numbers a batch can have at most; the graph doesn't say it.
    batch = torch.export.Dim("N", max=2**20) if _OLDER else torch.export.Dim("N")
    program = torch.onnx.export(
        torch.export.export(
            graph,
            tuple(inputs.values()),
            dynamic_shapes=tuple(None if name in fixed else {0: batch} for name in inputs),
        ),
        input_names=list(inputs),
        output_names=outputs,
        verbose=False,
    )
    assert program is not None  # only older kinds of export return nothing
    return program.model_proto


def _empty_like(like: Tensor, **_: object) -> Tensor:
    """A tensor of any values, whose order in memory doesn't matter."""
    return torch.empty(like.shape, dtype=like.dtype, device=like.device)


def store_in_half(proto: "ModelProto") -> None:
    """Store weights that half precision holds exactly in it, and widen them where they are used.

    The networks of the rounds have such weights. Only the size changes.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = proto.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        weights = numpy_helper.to_array(tensor)
        half = weights.astype(np.float16)
        if weights.size < _SMALL or not np.array_equal(half, weights):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    graph.ClearField("node")
    graph.node.extend(nodes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences torch's own remarks: a deprecated call, operators of packages not installed."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`", FutureWarning)
            yield
    finally:
        log.setLevel(level)
