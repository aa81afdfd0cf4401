"""A step of training as one ONNX inference graph, for programs without torch."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.files import replacing
from deceive.common.levels import Shape
from deceive.common.runtime import onnx_packages
from deceive.storage.export import check_agreement
from deceive.storage.taught import Taught, joined
from deceive.storage.tracing import traced

# Adam's β₁ and β₂ in the rounds: without a first moment, since what deceived the network a few
# rounds ago no longer does.
BETAS = (0.0, 0.99)
_EPSILON = 1e-8


@arguments.taking(
    network=arguments.module,
    path=arguments.place,
    betas=arguments.pair,
    clipped=arguments.maybe(arguments.number),
    shape=arguments.maybe(arguments.shape),
)
def export_training_step(
    network: nn.Module,
    path: str | Path,
    *,
    betas: tuple[float, float] = BETAS,
    clipped: float | None = 1.0,
    shape: Shape | None = None,
) -> None:
    """Write a step of training `network` to `path`, as an ONNX graph of the standard operators.

    So a program that can only ask networks can teach one: in a browser, on a phone. All parameters
    are one vector of P numbers, in the order of `network.named_parameters()`.

    Inputs: `weights` (P,) float32; `state` (2, P) float32, Adam's moments, zeros before the first
    step; `number` () float32, of this step, from 1; `learning_rate` () float32; `images`
    (N, C, H, W) float32; `labels` (N,) int64, from 0 to K - 1; and `noise` (N,) float32 for a
    network that hears noise. Outputs: `new_weights` (P,), `new_state` (2, P), `loss` () float32,
    the mean cross-entropy before the step, and `logits` (N, K). N is free.

    The step is Adam's (Kingma and Ba 2015), along a gradient of a limited norm. The network is in
    evaluation mode, as in the rounds: no dropout, and batch normalisation keeps its statistics. The
    parameters' names and shapes are in the file's metadata as `parameters`, in JSON. The file is
    written only if ONNX Runtime agrees with torch. Needs the extra `deceive[onnx]`.

        >>> import tempfile
        >>> from pathlib import Path
        >>> from torch import nn
        >>> from deceive import export_training_step
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> path = Path(tempfile.mkdtemp(), "step.onnx")
        >>> export_training_step(network, path, shape=(1, 2, 2))
        >>> path.exists()
        True

    Args:
        network: images in, logits (N, K) out; not changed.
        path: where the graph goes; `.onnx` by custom.
        betas: how slowly Adam forgets the gradient and its square, each in [0, 1).
        clipped: the greatest norm of the gradient; a longer one is shortened to it. None for none.
        shape: (C, H, W) of an image; by default the network's `image_shape`.

    Raises:
        InputError: when something that ONNX needs is not installed, when an argument is out of
            range, when the network has no weights, when it or its gradient does something that
            plain operators can't express, or when ONNX Runtime disagrees with torch.
    """
    for beta in betas:
        checks.half_open_interval("betas", beta, 0, 1)
    if clipped is not None:
        checks.open_interval("clipped", clipped, 0, float("inf"))
    runtime, taught = onnx_packages(), Taught(network, shape)
    told = taught.examples()
    inputs = {
        "weights": taught.weights,
        "state": torch.zeros(2, len(taught.weights)),
        "number": torch.tensor(1.0),
        "learning_rate": torch.tensor(1e-3),
        "images": told.pop("images"),
    }
    inputs["labels"] = torch.arange(len(inputs["images"])) % taught.n_outputs()
    inputs |= told
    function = _step(taught, betas, clipped)
    fixed = ("weights", "state", "number", "learning_rate", "new_weights", "new_state", "loss")
    proto = traced(function, inputs, ["new_weights", "new_state", "loss", "logits"], fixed)
    proto.metadata_props.add(key="parameters", value=json.dumps(taught.pieces))
    content = proto.SerializeToString(deterministic=True)
    check_agreement(runtime, content, function, inputs, fixed)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)


def _step(
    taught: Taught, betas: tuple[float, float], clipped: float | None
) -> Callable[..., tuple[Tensor, ...]]:
    """The function that is exported."""
    first, second = betas

    def step(
        weights: Tensor,
        state: Tensor,
        number: Tensor,
        learning_rate: Tensor,
        images: Tensor,
        labels: Tensor,
        *told: Tensor,
    ) -> tuple[Tensor, ...]:
        parts = {k: v.detach().requires_grad_(True) for k, v in taught.split(weights).items()}
        with torch.enable_grad():
            logits = taught.logits(parts, images, *told)
            loss = _cross_entropy(logits, labels)
            slopes = torch.autograd.grad(loss, [*parts.values()], materialize_grads=True)
        slope = joined(slopes)
        if clipped is not None:
            slope = slope * (clipped / (slope.square().sum().sqrt() + 1e-6)).clamp_max(1)
        mean = first * state[0] + (1 - first) * slope
        square = second * state[1] + (1 - second) * slope.square()
        size = (square / _grown(second, number)).sqrt()
        # mean / (size + ε), of ε times the size: the exporter takes adding 1e-8 for adding nothing.
        direction = mean / _EPSILON / (size / _EPSILON + 1)
        moved = weights - learning_rate / _grown(first, number) * direction
        return moved, torch.stack([mean, square]), loss.detach(), logits.detach()

    return step


def _grown(beta: float, number: Tensor) -> Tensor:
    """How much of its final size an average from zeros has after so many steps: 1 - β^number."""
    return 1 - (number * math.log(beta)).exp() if beta else torch.ones_like(number)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy, in operators whose gradients are plain too."""
    wanted = labels[:, None] == torch.arange(logits.shape[1])
    return -(logits.log_softmax(1) * wanted).sum(1).mean()
