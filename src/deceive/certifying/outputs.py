"""What a network's last linear layer is given, and how far apart its logits can be.

Bounds of two logits lie further apart than bounds of their difference: what raises one often raises
the other. So the last layer becomes part of the difference.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from deceive.certifying.boxes import Box, gamma
from deceive.certifying.following import followed
from deceive.certifying.rules import RULES, check_plain, named, through
from deceive.networks.classifier import Classifier
from deceive.networks.squashing import BeforeSoftmax


class Outputs(NamedTuple):
    """The values before a last linear layer, and that layer."""

    box: Box
    """(N, F)"""
    weight: Tensor
    """(K, F)"""
    bias: Tensor
    """(K,)"""
    rounding: float
    """The relative error of one of its inner products."""

    def apart(self, chosen: int) -> Box:
        """By how much the logit `chosen` is above each, (N, K)."""
        weight = self.weight[chosen] - self.weight
        middle, off = (self.box.lower + self.box.upper) / 2, (self.box.upper - self.box.lower) / 2
        error = self.rounding * ((middle.abs() + off) @ self.weight.abs().T + self.bias.abs())
        around = middle @ weight.T + (self.bias[chosen] - self.bias)
        # The weights' difference and float64's rounding are paid for as in `boxes`.
        most = off @ weight.abs().T + error + error[:, chosen, None]
        made = Box(around - most, around + most).widened(self.rounding * most)
        same = torch.arange(len(weight), device=weight.device) == chosen
        return made.mapped(lambda values: values.masked_fill(same, 0.0))

    @property
    def size(self) -> Tensor:
        """The greatest size of each logit, (N, K)."""
        sizes = self.box.size @ self.weight.abs().T + self.bias.abs()
        return sizes * (1 + 2 * self.rounding)


def outputs_of(network: nn.Module, box: Box) -> Outputs:
    """The outputs of a network for all images in a box (N, C, H, W).

    A softmax at the end is left out, and so is its logarithm: the logits are what goes in.

    Raises `InputError` when a layer can't be bounded.
    """
    if isinstance(network, Classifier):
        with named("body"):
            return _linear_last(network.head, through(network.body, _normalised(network, box)))
    if isinstance(network, BeforeSoftmax):
        return outputs_of(network.model, box)
    if type(network) is nn.Linear:
        return _linear_last(network, box)
    if type(network) is nn.Sequential and len(network):
        layers = [*network.named_children()]
        while len(layers) > 1 and type(layers[-1][1]) in (nn.Softmax, nn.LogSoftmax):
            layers.pop()
        for name, layer in layers[:-1]:
            with named(name):
                box = through(layer, box)
        with named(layers[-1][0]):
            return outputs_of(layers[-1][1], box)
    if type(network) in RULES or type(network).__module__.startswith("torch.nn."):
        return _as_they_are(through(network, box))
    box, last = followed(network, box)
    return _as_they_are(box) if last is None else _linear_last(last, box)


def _as_they_are(box: Box) -> Outputs:
    unit = torch.eye(box.lower.shape[1]).to(box.lower)
    return Outputs(box, unit, unit.new_zeros(len(unit)), gamma(0))


def _linear_last(layer: nn.Linear, box: Box) -> Outputs:
    check_plain(layer)
    weight = layer.weight.to(box.lower)
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.to(box.lower)
    return Outputs(box, weight, bias, gamma(layer.in_features))


def _normalised(network: Classifier, box: Box) -> Box:
    """The box after the network's own subtraction and division."""
    mean, std = (float(each) for each in (network.mean, network.std))
    ends = [(values - mean) / std for values in box]
    made = Box(torch.minimum(*ends), torch.maximum(*ends))
    return made.widened(gamma(2) * made.size)
