"""The 8-bit copy of the network with which the page begins."""

import numpy as np
import pytest
import torch

from deceive import fool, load_data, load_network
from deceive.networks.folding import folded
from deceive.webpage.light import light_copy


@pytest.fixture(scope="module")
def pair():
    """`fast`, and a network of its layers with the weights of the light file."""
    network = load_network("fast")
    content, described = light_copy(network)
    light = folded(network)
    layers = [one for one in light.modules() if isinstance(one, torch.nn.Conv2d | torch.nn.Linear)]
    outputs = [layer["out"] for layer in described["layers"]]
    numbers = np.frombuffer(content, np.float32, 2 * sum(outputs))
    whole = np.frombuffer(content, np.int8, offset=numbers.nbytes)
    with torch.no_grad():
        for layer, out in zip(layers, outputs, strict=True):
            scales, biases, numbers = np.split(numbers, [out, 2 * out])
            weights, whole = np.split(whole, [layer.weight.numel()])
            weights = weights.reshape(out, -1) * scales[:, None]
            layer.weight.copy_(torch.from_numpy(weights).view_as(layer.weight))
            layer.bias.copy_(torch.from_numpy(biases.copy()))
    assert len(numbers) == len(whole) == 0
    return network, light


@pytest.mark.shipped
def test_it_reads_test_digits_as_the_network_does(pair):
    images = load_data().test.images
    with torch.no_grad():
        exact, coarse = (network(images).softmax(1) for network in pair)
    gap = (exact - coarse).abs().max(1).values
    assert (exact.argmax(1) != coarse.argmax(1)).sum() <= 2
    assert gap.max() <= 0.03
    assert gap.mean() <= 2e-4


@pytest.mark.shipped
def test_what_deceives_it_deceives_the_network(pair):
    network, light = pair
    result = fool(light, range(10), count=5, confidence=0.991, seed=9)  # 0.99 and its slack
    assert result.fooled.all()
    with torch.no_grad():
        shares = network(result.images).softmax(1)
    assert shares.gather(1, result.targets[:, None]).min() >= 0.99
