"""What `fool` is tested with: bounds, a network that isn't linear, images read back, results."""

from pathlib import Path

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from deceive.common.levels import Shape
from deceive.fooling.result import FoolingResult


@st.composite
def all_bounds(draw: st.DrawFn) -> tuple[float, float]:
    """Bounds that float32 can tell 256 levels apart in."""
    low, width = draw(st.floats(-300, 300)), draw(st.floats(0.1, 500))
    return low, low + width


def reread(result: FoolingResult, row: int, path: Path) -> torch.Tensor:
    """Image `row` saved as a PNG by Pillow and read back: (1, C, H, W) within the bounds."""
    pixels = result.levels[row].permute(1, 2, 0).numpy()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(path)
    with Image.open(path) as image:
        levels = torch.from_numpy(np.array(image))
    levels = levels.reshape(1, *levels.shape[:2], -1)
    low, high = result.bounds
    return levels.permute(0, 3, 1, 2).float() / 255 * (high - low) + low


def confidence_alone(model: nn.Module, image: torch.Tensor, target: int) -> float:
    """What the user's own network says of one image, in evaluation mode and float32."""
    with torch.no_grad():
        return float(model.eval()(image).softmax(1)[0, target])


def same(one: FoolingResult, other: FoolingResult) -> bool:
    """Equal but for the last digits of confidences."""
    return (
        torch.equal(one.levels, other.levels)
        and torch.equal(one.targets, other.targets)
        and torch.equal(one.fooled, other.fooled)
        and torch.equal(one.steps, other.steps)
        and torch.allclose(one.confidence, other.confidence, atol=1e-6)
    )


def convolutional(shape: Shape = (1, 8, 8), n_classes: int = 5, seed: int = 0) -> nn.Module:
    """A small network that isn't linear, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(shape[0], 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * (shape[1] - 2) * (shape[2] - 2), n_classes),
        )
        linear = network[-1]
        assert isinstance(linear, nn.Linear)
        linear.weight.data *= 20  # sure of itself
    network.image_shape = shape  # type: ignore[assignment]
    return network
