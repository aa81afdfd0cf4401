"""A network and its input gradient as one ONNX inference graph, for programs without torch.

An ordinary runtime knows no autograd. Here the gradient is worked out symbolically first: value
and gradient are traced together to plain tensor operators, and those are written down.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.files import replacing
from deceive.common.levels import Shape
from deceive.common.runtime import onnx_runtime
from deceive.fooling.objectives import OBJECTIVES
from deceive.networks.bodies import StemConv
from deceive.networks.frozen import FrozenCopy

if TYPE_CHECKING:
    from onnx import ModelProto

# How far the runtime may be from torch, as a share of the greatest value: rounding, summed up.
_TOLERANCE = 1e-3

# Tensors of fewer numbers than this are stored as they are.
_SMALL = 1024


@arguments.taking(
    network=arguments.module,
    path=arguments.place,
    gradient=arguments.flag,
    shape=arguments.maybe(arguments.shape),
)
def export_onnx(
    network: nn.Module,
    path: str | Path,
    *,
    gradient: bool = True,
    objective: str = "log_odds",
    shape: Shape | None = None,
) -> None:
    """Write `network` to `path` as an ONNX graph of the standard operators, in float32.

    Inputs are `images` (N, C, H, W) float32 and, with the gradient, `targets` (N,) int64, classes
    from 0 to K - 1. Outputs are `logits` (N, K) float32 and, with the gradient, `gradient`
    (N, C, H, W) float32: of each image's objective in its pixels. N is free, C, H and W are fixed.
    A network that hears noise has a last input `noise` (N,) float32: the standard deviation of the
    noise in each image. It is only told of it: logits and gradient are those of the images as they
    are given, and noise is for the caller to add.
    Batch normalisation is folded into the layer before it, where that is plain. The file is
    written only when ONNX Runtime gives what torch gives. Needs the extra `deceive[onnx]`.

    Args:
        network: images in, logits (N, K) out; not touched, a frozen copy does the work.
        path: where the graph goes; `.onnx` by custom.
        gradient: write the input gradient too.
        objective: a name from `objectives.OBJECTIVES`; whose gradient.
        shape: (C, H, W) of an image; by default the network's `image_shape`.

    Raises:
        InputError: when something that ONNX needs is not installed, when the network does not give
            finite logits, when it or its gradient does something that plain operators cannot say,
            or when ONNX Runtime disagrees with torch about the result.
    """
    checks.one_of("objective", objective, OBJECTIVES)
    onnxruntime = _onnxruntime()
    shape = shape or getattr(network, "image_shape", None)
    if shape is None:
        raise InputError(
            "shape: expected (C, H, W), since the network has no image_shape; got none"
        )
    # Folded into others, weights that half precision holds would become such that it does not.
    fold = not all(torch.equal(w.half().float(), w) for w in network.parameters())
    frozen = FrozenCopy(_with_plain_stems(network), torch.zeros(1, *shape), fold=fold)
    # A batch of another size than any side: the tracer takes equal sizes for the same size.
    batch = next(n for n in range(2, 6) if n not in shape)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, *shape, generator=generator).to(frozen.device)
    targets = (torch.arange(batch) % frozen.n_classes).to(frozen.device)
    inputs = {"images": images}
    if gradient:
        inputs["targets"] = targets
    if frozen.hears_noise:
        inputs["noise"] = torch.rand(batch, generator=generator).to(frozen.device)
    in_place = _works_in_place(frozen, images.clone(), *list(inputs.values())[1 + gradient :])
    function = _function(frozen, objective if gradient else None, in_place)
    proto = _traced(function, inputs, ["logits", "gradient"] if gradient else ["logits"])
    _store_in_half(proto)

    content = proto.SerializeToString(deterministic=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    # In batches of other sizes than the traced one, so that none of it was written down as fixed.
    for part in (slice(0, 1), slice(1, batch), slice(0, batch)):
        cut = {name: tensor[part] for name, tensor in inputs.items()}
        given = {name: tensor.cpu().numpy() for name, tensor in cut.items()}
        for expected, came in zip(function(*cut.values()), session.run(None, given), strict=True):
            _check_close(expected.cpu(), torch.from_numpy(came))
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)


def _function(
    frozen: FrozenCopy, objective: str | None, in_place: bool
) -> Callable[..., tuple[Tensor, ...]]:
    """A function of images, of targets if there is an objective, and of noise if it is used.

    A network that works in place gets copies of the images.
    """

    def logits_of(images: Tensor, *told: Tensor) -> Tensor:
        return frozen.plain_logits(images.clone() if in_place else images, *told)

    if objective is None:
        return lambda images, *told: (logits_of(images, *told),)
    score_of = OBJECTIVES[objective]

    def with_gradient(images: Tensor, targets: Tensor, *told: Tensor) -> tuple[Tensor, ...]:
        images = images.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = logits_of(images, *told)
            total = score_of(logits, targets).sum()
            (gradient,) = torch.autograd.grad(total, images, materialize_grads=True)
        return logits.detach(), gradient

    return with_gradient


def _works_in_place(frozen: FrozenCopy, images: Tensor, *told: Tensor) -> bool:
    """Whether the network modifies its input."""
    before = images._version
    with torch.no_grad():
        frozen.plain_logits(images, *told)
    return images._version != before


def _traced(
    function: Callable[..., tuple[Tensor, ...]], inputs: dict[str, Tensor], outputs: list[str]
) -> "ModelProto":
    table = dict(core_aten_decompositions())
    aten = torch.ops.aten
    table[aten.convolution_backward.default] = _convolution_backward
    table[aten.max_pool2d_with_indices_backward.default] = _max_pool2d_backward
    batch = torch.export.Dim("N")
    try:
        with torch.no_grad(), _quiet():
            graph = make_fx(
                function,
                decomposition_table=table,
                tracing_mode="symbolic",
                _allow_non_fake_inputs=True,  # the weights
            )(*inputs.values())
            program = torch.onnx.export(
                torch.export.export(
                    graph,
                    tuple(inputs.values()),
                    dynamic_shapes=tuple({0: batch} for _ in inputs),
                ),
                input_names=list(inputs),
                output_names=outputs,
                verbose=False,
            )
    except InputError:
        raise
    except Exception as error:
        first: BaseException = error
        while first.__cause__ is not None:
            first = first.__cause__
        reason = (str(first).strip() or repr(first)).splitlines()[0]
        raise InputError(
            "network: expected one whose work can be written as plain ONNX operators, for any "
            f"number of images; tracing it says: {reason}"
        ) from error
    assert program is not None  # only older kinds of export return nothing
    proto: ModelProto = program.model_proto
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    # Where on this machine each operator was traced is nobody's business.
    proto.graph.ClearField("value_info")
    for part in (proto, proto.graph, *proto.graph.node, *proto.graph.input, *proto.graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return proto


def _store_in_half(proto: "ModelProto") -> None:
    """Keep weights that half precision holds exactly in it, and widen them where they are used.

    The networks of the rounds are such. Nothing changes but the size.
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


def _convolution_backward(
    grad_output: Tensor,
    images: Tensor,
    weight: Tensor,
    bias_sizes: list[int] | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    output_mask: list[bool],
) -> tuple[Tensor | None, None, None]:
    """The gradient in the images of a convolution: a transposed one, and the other way round.

    Weights and biases are constants here, so theirs are never asked for.
    """
    if output_mask[1] or output_mask[2]:
        raise InputError("network: expected frozen weights in its convolutions, got trained ones")
    if not output_mask[0]:
        return None, None, None
    convolution = torch.ops.aten.convolution
    if transposed:
        back = convolution(
            *(grad_output, weight, None, stride, padding, dilation),
            *(False, [0] * len(stride), groups),
        )
        return back, None, None
    # Rows and columns at the far edge that no step of the stride reaches; their gradient is zero.
    spare = [
        images.shape[2 + k]
        + 2 * padding[k]
        - dilation[k] * (weight.shape[2 + k] - 1)
        - 1
        - stride[k] * (grad_output.shape[2 + k] - 1)
        for k in range(len(stride))
    ]
    back = convolution(
        *(grad_output, weight, None, stride, padding, dilation), *(True, spare, groups)
    )
    return back, None, None


def _max_pool2d_backward(
    grad_output: Tensor,
    images: Tensor,
    kernel_size: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    ceil_mode: bool,
    indices: Tensor,
) -> Tensor:
    """The gradient of max-pooling: each window's goes to the pixel that won it."""
    flat = torch.zeros_like(images).flatten(2)
    return flat.scatter_add(2, indices.flatten(2), grad_output.flatten(2)).view(images.shape)


def _with_plain_stems(network: nn.Module) -> nn.Module:
    """A copy whose `StemConv`s are ordinary convolutions: their trick is for torch's kernels."""
    network = copy.deepcopy(network)
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, StemConv):
                plain = nn.Conv2d(
                    child.in_channels,
                    child.out_channels,
                    child.kernel_size,  # type: ignore[arg-type]
                    child.stride,  # type: ignore[arg-type]
                    child.padding,  # type: ignore[arg-type]
                    bias=child.bias is not None,
                )
                plain.weight, plain.bias = child.weight, child.bias
                parent.register_module(name, plain)
    return network


def _check_close(expected: Tensor, came: Tensor) -> None:
    gap = float((expected - came).abs().max())
    if not gap <= _TOLERANCE * max(1.0, float(expected.abs().max())):
        raise InputError(
            "network: expected one that gives the same every time it is asked, got results that "
            f"differ by up to {gap:g} between torch and ONNX Runtime"
        )


def _onnxruntime() -> Any:
    try:
        onnxruntime = onnx_runtime()
        import onnxscript  # noqa: F401  torch.onnx needs it
    except ImportError as error:
        raise InputError(
            "export: expected the packages onnx, onnxscript and onnxruntime, as "
            f"`pip install 'deceive[onnx]'` brings them; {error}"
        ) from error
    return onnxruntime


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of itself: a deprecated call, operators of packages not here."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)`", FutureWarning)
            yield
    finally:
        log.setLevel(level)
