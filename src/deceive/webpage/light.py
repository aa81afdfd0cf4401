"""A copy of a network in 8 bits, a quarter of the bytes, which the page runs without a runtime."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from deceive.networks.classifier import Classifier
from deceive.networks.folding import folded

_MOST = 127  # the greatest weight of a channel, in whole numbers


def light_copy(network: Classifier) -> tuple[bytes, dict[str, Any]] | None:
    """A network's weights in 8 bits, and what to do with them; None if it is not layer after layer.

    Batch normalisation is folded into the layers, and every layer is a convolution: a linear one
    covers all that it sees. The file begins with float32: for each layer a scale for each output
    channel, then a bias for each. Then come the weights of each layer, int8, (out, in, size, size).

    >>> content, described = light_copy(Classifier("fast").eval())
    >>> len(content), [layer["size"] for layer in described["layers"]]
    (461168, [5, 3, 3, 7, 1])
    """
    plain = folded(network) or network
    layers: list[dict[str, Any]] = []
    numbers: list[NDArray[Any]] = []
    weights: list[NDArray[Any]] = []
    channels, side = network.image_shape[:2]
    for module in (*plain.get_submodule("body").children(), plain.get_submodule("head")):
        if isinstance(module, nn.ReLU):
            layers[-1]["rectified"] = True
        elif isinstance(module, nn.Conv2d | nn.Linear):
            layer = _described(module, channels, side)
            layers.append(layer)
            channels, side = layer["out"], _side(layer, side)
            scales, whole = _in_8_bits(module.weight.detach().numpy().reshape(channels, -1))
            bias = np.zeros(channels) if module.bias is None else module.bias.detach().numpy()
            numbers += [scales, bias.astype(np.float32)]
            weights.append(whole)
        elif not isinstance(module, nn.Identity | nn.Flatten | nn.Dropout):
            return None
    content = b"".join(part.tobytes() for part in (*numbers, *weights))
    return content, {"layers": layers, "mean": float(network.mean), "std": float(network.std)}


def _described(module: nn.Conv2d | nn.Linear, channels: int, side: int) -> dict[str, Any]:
    """A layer as a convolution of `channels` squares of this side."""
    if isinstance(module, nn.Conv2d):
        size, stride, padding = module.kernel_size[0], module.stride[0], int(module.padding[0])
    else:
        size, stride, padding = side, 1, 0
    out = module.weight.shape[0]
    shape = {"in": channels, "out": out, "size": size, "stride": stride, "padding": padding}
    return shape | {"rectified": False}


def _side(layer: dict[str, Any], side: int) -> int:
    beyond: int = side + 2 * layer["padding"] - layer["size"]
    return beyond // int(layer["stride"]) + 1


def _in_8_bits(weights: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Scales (out,) and whole numbers of the same shape as `weights` (out, in)."""
    scales = (np.abs(weights).max(1) / _MOST).astype(np.float32)
    scales[scales == 0] = 1
    return scales, np.rint(weights / scales[:, None]).astype(np.int8)
