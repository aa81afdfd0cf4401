"""A network as a function of its weights: what a program without torch can teach."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.fooling.objectives import OBJECTIVES
from deceive.networks.modules import copied
from deceive.storage.export import example_images, example_noise, with_plain_stems
from deceive.storage.tracing import traced

if TYPE_CHECKING:
    from onnx import ModelProto


class Piece(NamedTuple):
    """A parameter's name, and its shape; together they are the vector of weights, in this order."""

    name: str
    shape: tuple[int, ...]


class Taught:
    """A network as a function of its weights, all in one vector (P,)."""

    def __init__(self, network: nn.Module, shape: Shape | None) -> None:
        shape = shape or getattr(network, "image_shape", None)
        if shape is None:
            raise InputError(
                "shape: expected (C, H, W), since the network has no image_shape; got none"
            )
        self.shape = shape
        self.network = with_plain_stems(copied(network)).float().cpu().requires_grad_(False)
        self.hears_noise = bool(getattr(network, "hears_noise", False))
        parameters = dict(self.network.named_parameters())
        if not parameters:
            raise InputError("network: expected one with weights to teach, got one without")
        self.pieces = [Piece(name, tuple(each.shape)) for name, each in parameters.items()]
        self.weights = torch.cat([each.flatten() for each in parameters.values()])

    def split(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameters by name, as parts of the vector."""
        parts, start = {}, 0
        for name, shape in self.pieces:
            length = torch.Size(shape).numel()
            parts[name] = weights[start : start + length].view(shape)
            start += length
        return parts

    def logits(self, parts: dict[str, Tensor], images: Tensor, *told: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W), given their noise (N,) if it hears noise."""
        logits: Tensor = functional_call(self.network, parts, (images, *told))
        return logits

    def examples(self) -> dict[str, Tensor]:
        """Images to trace it with, and their noise if it hears noise."""
        images = example_images(self.shape)
        return {"images": images} | (
            {"noise": example_noise(len(images))} if self.hears_noise else {}
        )

    @torch.no_grad()
    def n_outputs(self) -> int:
        """K, found by asking."""
        return self.logits(self.split(self.weights), *self.examples().values()).shape[1]


# Graphics cards read only so many arrays at once.
_AT_ONCE = 6


def joined(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of any shape as one vector, a few at a time."""
    flat = [each.flatten() for each in tensors]
    while len(flat) > 1:
        flat = [torch.cat(flat[k : k + _AT_ONCE]) for k in range(0, len(flat), _AT_ONCE)]
    return flat[0]


def gradient_of(taught: Taught, objective: str = "log_odds") -> "ModelProto":
    """An ONNX graph of the gradient with respect to the images, whose weights are an input too.

    Inputs: `weights` (P,), `images` (N, C, H, W), `targets` (N,) int64, and `noise` (N,) for a
    network that hears noise. Outputs: `logits` (N, K) and `gradient` (N, C, H, W) of the objective.
    """
    told, score_of, n_outputs = taught.examples(), OBJECTIVES[objective], taught.n_outputs()
    inputs = {"weights": taught.weights, "images": told.pop("images")}
    inputs["targets"] = torch.arange(len(inputs["images"])) % n_outputs

    def gradient(
        weights: Tensor, images: Tensor, targets: Tensor, *told: Tensor
    ) -> tuple[Tensor, ...]:
        images = images.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = taught.logits(taught.split(weights), images, *told)
            (slope,) = torch.autograd.grad(score_of(logits, targets).sum(), images)
        return logits.detach(), slope

    return traced(gradient, inputs | told, ["logits", "gradient"], ("weights",))


def with_weights(proto: "ModelProto", weights: Tensor) -> "ModelProto":
    """A copy of such a graph that holds its weights itself."""
    from onnx import numpy_helper

    own = type(proto)()
    own.CopyFrom(proto)
    others = [each for each in own.graph.input if each.name != "weights"]
    own.graph.ClearField("input")
    own.graph.input.extend(others)
    own.graph.initializer.append(numpy_helper.from_array(weights.numpy(), "weights"))
    return own
