"""How a box of values goes through each kind of layer."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.certifying.boxes import ROUNDING, Box, affine, gamma
from deceive.common.errors import InputError
from deceive.networks.architectures import Cropped
from deceive.networks.bodies import StridedBody
from deceive.networks.convolutions import HalvingConv, StemConv


class Scale(nn.Module):
    """What scales images before a network: (x × factor + shift - mean) / std, in this order.

    Args:
        factor, shift: numbers.
        mean, std: one number for each channel.
    """

    def __init__(
        self, factor: float, shift: float, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.factor, self.shift, self.mean, self.std = factor, shift, mean, std

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W), scaled."""
        mean, std = (images.new_tensor(each).view(-1, 1, 1) for each in (self.mean, self.std))
        return (images * self.factor + self.shift - mean) / std


Rule = Callable[[Any, Box], Box]
"""A layer in evaluation mode and what goes in, to what comes out."""


def through(layer: nn.Module, box: Box) -> Box:
    """The box after a layer, or after layers one after another.

    Raises `InputError`, which names the layer, when there is no rule for it.
    """
    rule = RULES.get(type(layer))
    if rule is None:
        raise InputError(
            f"network: expected layers that can be bounded ({', '.join(KNOWN)}), got a "
            f"{type(layer).__name__}"
        )
    check_plain(layer)
    return rule(layer, box)


def check_plain(layer: nn.Module) -> None:
    """Raise `InputError` when a layer has hooks, or weights in less than float32."""
    if layer._forward_hooks or layer._forward_pre_hooks:
        raise InputError(
            f"network: expected layers without hooks, got some on a {type(layer).__name__}"
        )
    for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)):
        if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
            raise InputError(f"network: expected weights in float32, got {tensor.dtype}")


@contextmanager
def named(name: str) -> Iterator[None]:
    """Within the block, an error says in which layer it is."""
    try:
        yield
    except InputError as error:
        said = str(error)
        raise InputError(said if " at layer " in said else f"{said} at layer {name}") from error


def _sequential(layers: nn.Sequential, box: Box) -> Box:
    for name, layer in layers.named_children():
        with named(name):
            box = through(layer, box)
    return box


def _cropped(layers: Cropped, box: Box) -> Box:
    return _sequential(layers, box.mapped(layers.cropped))


def _convolution(layer: nn.Conv2d, box: Box) -> Box:
    if layer.padding_mode != "zeros":
        raise InputError(f"network: expected zeros as padding, got {layer.padding_mode}")

    def convolved(values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(
            values, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups
        )

    return affine(box, convolved, layer.weight, layer.bias, math.prod(layer.weight.shape[1:]))


def _linear(layer: nn.Linear, box: Box) -> Box:
    return affine(box, F.linear, layer.weight, layer.bias, layer.in_features)


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, box: Box) -> Box:
    """A factor and a shift for each channel; eight operations at most, in whatever order."""
    if layer.running_mean is None or layer.running_var is None:
        raise InputError("network: expected batch normalisation with running statistics, got none")
    side = (1, -1, *[1] * (box.lower.ndim - 2))
    mean = layer.running_mean.to(box.lower).view(side)
    variance = layer.running_var.to(box.lower).view(side)
    factor, shift = (variance + layer.eps).rsqrt(), torch.zeros_like(mean)
    if layer.weight is not None:
        factor = factor * layer.weight.to(box.lower).view(side)
    if layer.bias is not None:
        shift = layer.bias.to(box.lower).view(side)
    ends = [(values - mean) * factor + shift for values in box]
    made = Box(torch.minimum(*ends), torch.maximum(*ends))
    return made.widened(gamma(8) * ((box.size + mean.abs()) * factor.abs() + shift.abs()))


def averaged(function: Callable[[Tensor], Tensor], box: Box) -> Box:
    """The box after means of some of an image's values."""
    made = box.mapped(function)
    return made.widened(gamma(math.prod(box.lower.shape[1:])) * function(box.size))


def _scaled(layer: Scale, box: Box) -> Box:
    """Its numbers are rounded to float32, too: nine roundings at most."""
    mean, std = (box.lower.new_tensor(each).view(-1, 1, 1) for each in (layer.mean, layer.std))
    made = box.mapped(layer)
    size = box.size * abs(layer.factor) + abs(layer.shift) + mean.abs()
    return made.widened(gamma(9) * size / std.abs())


def _rising(layer: nn.Module, box: Box) -> Box:
    """A layer that never falls, and only chooses or moves values."""
    return box.mapped(layer)


def _leaky(layer: nn.LeakyReLU, box: Box) -> Box:
    return leaky_rectified(box, layer.negative_slope)


def leaky_rectified(box: Box, slope: float) -> Box:
    """The box after a rectifier that lets through a share of what is below 0."""
    if slope < 0:
        raise InputError(f"network: expected a slope of at least 0, got {slope}")
    made = box.mapped(lambda values: F.leaky_relu(values, slope))
    return made.widened(2 * ROUNDING * made.size)  # the slope is rounded, and so is the product


def squashed(function: Callable[[Tensor], Tensor], box: Box) -> Box:
    """Within [-1, 1]; libraries are within a few units in the last place."""
    return box.mapped(function).widened(16 * ROUNDING)


def _unchanged(layer: nn.Module, box: Box) -> Box:
    return box


def _strided(body: StridedBody, box: Box) -> Box:
    box = box.mapped(body.folded)
    for number, convolution in enumerate(body.convolutions):
        with named(f"convolutions.{number}"):
            box = leaky_rectified(through(convolution, box), body.slope)
    box = through(body.linear, box.mapped(lambda values: values.flatten(1)))
    return leaky_rectified(box, body.slope)


RULES: dict[type[nn.Module], Rule] = {
    nn.Sequential: _sequential,
    Cropped: _cropped,
    StridedBody: _strided,
    Scale: _scaled,
    nn.Conv2d: _convolution,
    StemConv: _convolution,
    HalvingConv: _convolution,
    nn.Linear: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.AvgPool2d: averaged,
    nn.AdaptiveAvgPool2d: averaged,
    nn.MaxPool2d: _rising,
    nn.AdaptiveMaxPool2d: _rising,
    nn.ReLU: _rising,
    nn.ReLU6: _rising,
    nn.Flatten: _rising,
    nn.LeakyReLU: _leaky,
    nn.Sigmoid: squashed,
    nn.Tanh: squashed,
    nn.Identity: _unchanged,
    nn.Dropout: _unchanged,
    nn.Dropout2d: _unchanged,
}
"""By the type of a layer; a subclass may do something else."""

KNOWN = ("convolution", "linear", "batch normalisation", "pooling", "ReLU", "sigmoid", "tanh")
"""What can be bounded, in words."""
