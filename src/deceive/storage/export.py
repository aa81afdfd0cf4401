"""A network and its input gradient as one ONNX inference graph, for programs without torch."""

import copy
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.files import replacing
from deceive.common.levels import Shape
from deceive.common.runtime import onnx_packages
from deceive.fooling.objectives import OBJECTIVES
from deceive.networks.convolutions import StemConv
from deceive.networks.frozen import FrozenCopy
from deceive.storage.templates import Templates
from deceive.storage.tracing import store_in_half, traced

if TYPE_CHECKING:
    from onnx import ModelProto

# How far the runtime may be from torch, as a share of the greatest value: rounding, summed up.
_TOLERANCE = 1e-3

Function = Callable[..., tuple[Tensor, ...]]


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
    (N, C, H, W) float32: of each image's objective in its pixels. N is free; C, H and W are fixed.
    A network that hears noise has a last input `noise` (N,) float32: the standard deviation of the
    noise in each image. It is only told the noise level; the caller adds the noise.
    Batch normalisation is folded into the layer before it, where that is known. The file is
    written only if ONNX Runtime agrees with torch. Needs the extra `deceive[onnx]`.

        >>> import tempfile
        >>> from pathlib import Path
        >>> from deceive import Classifier, export_onnx
        >>> path = Path(tempfile.mkdtemp(), "fast.onnx")
        >>> export_onnx(Classifier("fast"), path, gradient=False)
        >>> path.exists()
        True

    Args:
        network: images in, logits (N, K) out; not changed, a frozen copy is exported.
        path: where the graph goes; `.onnx` by custom.
        gradient: write the input gradient too.
        objective: a name from `objectives.OBJECTIVES`, for the gradient.
        shape: (C, H, W) of an image; by default the network's `image_shape`.

    Raises:
        InputError: when something that ONNX needs is not installed, when the network does not give
            finite logits, when it or its gradient does something that plain operators can't
            express, or when ONNX Runtime disagrees with torch about the result.
    """
    content = exported(network, gradient=gradient, objective=objective, shape=shape)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)


def exported(
    network: nn.Module,
    *,
    gradient: bool = True,
    objective: str = "log_odds",
    shape: Shape | None = None,
    templates: Templates | None = None,
) -> bytes:
    """The file that `export_onnx` writes; arguments and errors as there.

    With `templates`, a network like one before isn't traced again: its weights are put into that
    one's graph.
    """
    checks.one_of("objective", objective, OBJECTIVES)
    onnxruntime = onnx_packages()
    shape = shape or getattr(network, "image_shape", None)
    if shape is None:
        raise InputError(
            "shape: expected (C, H, W), since the network has no image_shape; got none"
        )
    # Folding could turn weights that half precision holds exactly into ones that it doesn't.
    fold = not all(torch.equal(w.half().float(), w) for w in network.parameters())
    plain = with_plain_stems(network)
    frozen = FrozenCopy(plain, torch.zeros(1, *shape), fold=fold, channels_last=False)
    inputs = _examples(frozen, shape, gradient)
    function = _function(frozen, inputs, objective if gradient else None)
    # What decides the graph, apart from the weights.
    structure = f"{objective if gradient else None} {shape} {frozen.network}"
    weights = frozen.network.state_dict()
    if templates is not None and (filled := templates.filled(structure, weights)) is not None:
        with suppress(InputError):  # what was worked out from the weights stays the other's
            return _checked_file(onnxruntime, filled, function, inputs)
    graph = traced(function, inputs, ["logits", "gradient"] if gradient else ["logits"])
    if templates is not None:
        templates.keep(structure, graph, weights)
    return _checked_file(onnxruntime, graph, function, inputs)


def _examples(frozen: FrozenCopy, shape: Shape, gradient: bool) -> dict[str, Tensor]:
    """Inputs to trace the network with, by name."""
    inputs = {"images": example_images(shape)}
    batch = len(inputs["images"])
    if gradient:
        inputs["targets"] = torch.arange(batch) % frozen.n_classes
    if frozen.hears_noise:
        inputs["noise"] = example_noise(batch)
    return {name: tensor.to(frozen.device) for name, tensor in inputs.items()}


def example_images(shape: Shape) -> Tensor:
    """A batch to trace a network with, of another size than any side.

    The tracer takes equal sizes for the same size.
    """
    batch = next(n for n in range(2, 6) if n not in shape)
    return torch.rand(batch, *shape, generator=torch.Generator().manual_seed(0))


def example_noise(count: int) -> Tensor:
    """Noise levels (N,) to trace a network with."""
    return torch.rand(count, generator=torch.Generator().manual_seed(1))


def _function(frozen: FrozenCopy, inputs: dict[str, Tensor], objective: str | None) -> Function:
    """A function of images, of targets if there is an objective, and of noise if it is used."""
    told = [inputs["noise"]] if "noise" in inputs else []
    in_place = _works_in_place(frozen, inputs["images"].clone(), *told)

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


def _checked_file(
    onnxruntime: Any, graph: "ModelProto", function: Function, inputs: dict[str, Tensor]
) -> bytes:
    """The graph as a file; `InputError` unless ONNX Runtime gives with it what torch gives."""
    store_in_half(graph)
    content: bytes = graph.SerializeToString(deterministic=True)
    check_agreement(onnxruntime, content, function, inputs)
    return content


def check_agreement(
    onnxruntime: Any,
    content: bytes,
    function: Function,
    inputs: dict[str, Tensor],
    fixed: Collection[str] = (),
) -> None:
    """Raise `InputError` unless ONNX Runtime gives what torch gives.

    All inputs but those in `fixed` have as many rows as there are images.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    batch = len(inputs["images"])
    # In batches of other sizes than the traced one, to see that none was written down as fixed.
    for part in (slice(0, 1), slice(1, batch), slice(0, batch)):
        cut = {name: each if name in fixed else each[part] for name, each in inputs.items()}
        given = {name: tensor.cpu().numpy() for name, tensor in cut.items()}
        for expected, came in zip(function(*cut.values()), session.run(None, given), strict=True):
            _check_close(expected.cpu(), torch.from_numpy(came))


def _check_close(expected: Tensor, came: Tensor) -> None:
    gap = float((expected - came).abs().max())
    if not gap <= _TOLERANCE * max(1.0, float(expected.abs().max())):
        raise InputError(
            "network: expected one that gives the same every time it is asked, got results that "
            f"differ by up to {gap:g} between torch and ONNX Runtime"
        )


def with_plain_stems(network: nn.Module) -> nn.Module:
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
