"""The architectures of `Classifier`: each a function of an image's shape to layers."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from deceive.common.levels import Shape
from deceive.networks.bodies import FullSizeBody, NoiseBody, StridedBody
from deceive.networks.convolutions import StemConv


class Architecture(NamedTuple):
    """What a `Classifier` is built from."""

    body: Callable[[Shape], tuple[nn.Module, int]]
    """From an image's shape to layers that end in a feature vector, and the vector's length."""
    least_side: int = 1
    """The smallest image side that survives pooling."""
    normalisation: tuple[float, float] | None = None
    """Mean and standard deviation, for an architecture that doesn't take the data's."""


def _block(
    channels_in: int,
    channels: int,
    stride: int = 1,
    size: int = 3,
    conv: type[nn.Conv2d] = nn.Conv2d,
) -> list[nn.Module]:
    return [
        conv(channels_in, channels, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]


class Cropped(nn.Sequential):
    """Layers that begin with two 3×3 convolutions, each followed by 2×2 pooling.

    Pooling drops a row or column that is left over. So of 28, the last two have no effect and no
    gradient; leaving them out saves a sixth of the time.
    """

    @staticmethod
    def cropped(images: Tensor) -> Tensor:
        """The part of images (N, C, H, W) that has an effect."""
        rows, columns = (side - (side - 6) % 4 for side in images.shape[2:])
        return images[:, :, :rows, :columns]

    def forward(self, images: Tensor) -> Tensor:
        """What the layers make of images (N, C, H, W)."""
        x = self.cropped(images)
        for layer in self:
            x = layer(x)
        return x


def _study(shape: Shape) -> tuple[nn.Module, int]:
    """The case study's own: two convolutions, max-pooling, three linear layers, dropout 0.3.

    It pooled after the activations. Pooling before them gives the same outputs and gradients, and
    leaves a quarter as much to activate.
    """
    convolutions = [
        StemConv(shape[0], 32, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.MaxPool2d(2),
        nn.ReLU(),
    ]
    flat = _flat_size(convolutions, shape)
    linear = [
        nn.Flatten(),
        nn.Linear(flat, 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Dropout(0.3),
    ]
    return Cropped(*convolutions, *linear), 64


def _fast(
    shape: Shape, hidden: int = 128, *, last: int = 64, stride: int = 1
) -> tuple[nn.Sequential, int]:
    """Strided convolutions and no pooling: most of the work is done at a quarter of the pixels."""
    convolutions = [
        *_block(shape[0], 32, stride=2, size=5, conv=StemConv),
        *_block(32, 64, stride=2),
        *_block(64, last, stride),
    ]
    flat = _flat_size(convolutions, shape)
    linear = [nn.Flatten(), nn.Linear(flat, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU()]
    return nn.Sequential(*convolutions, *linear), hidden


def _judge(shape: Shape) -> tuple[nn.Module, int]:
    """Another family than `fast`: pairs of 3×3 convolutions at full size, max-pooling."""
    convolutions = [
        *_block(shape[0], 16),
        *_block(16, 16),
        nn.MaxPool2d(2),
        *_block(16, 32),
        *_block(32, 32),
        nn.MaxPool2d(2),
    ]
    flat = _flat_size(convolutions, shape)
    linear = [nn.Flatten(), nn.Linear(flat, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU()]
    return nn.Sequential(*convolutions, *linear), 128


def _draw(shape: Shape) -> tuple[nn.Module, int]:
    """The network of the rounds in which digits emerge."""
    return NoiseBody(shape, (104, 208, 192)), 128


def _paint(shape: Shape) -> tuple[nn.Module, int]:
    """`draw` for images in grey and colour."""
    return FullSizeBody(shape, (104, 208, 192)), 128


def _sketch(shape: Shape) -> tuple[nn.Module, int]:
    """A narrow `draw`, for the rounds that are played in a browser."""
    return NoiseBody(shape, (32, 64)), 128


def _guard(shape: Shape) -> tuple[nn.Module, int]:
    """The network that decides whether an image shows any digit (`guarded.Guarded`)."""
    return StridedBody(shape), 128


def _reader(shape: Shape) -> tuple[nn.Module, int]:
    """`fast` with half of its weights, which are nearly all before the hidden layer."""
    return _fast(shape, hidden=64)


def _sharp(shape: Shape) -> tuple[nn.Module, int]:
    """A small `fast` that sees no faint greys: it takes a pixel of brightness x for σ(10 (x - ½)).

    A faint grey haze makes most networks take a digit for another one. Against this one, the haze
    has to be nearly half of a pixel's range; every pixel still has a gradient.
    """
    layers, hidden = _fast(shape, hidden=64, last=80, stride=2)
    return nn.Sequential(nn.Sigmoid(), *layers), hidden


# The side at which a detector's features are small enough for a linear layer.
_SMALL = 8


def _detector(shape: Shape) -> tuple[nn.Sequential, int]:
    """Few layers, and shallow, so that interval bounds stay close to what it does.

    More layers aren't needed to tell images from garbage (`certifying.training`), and every layer
    widens the bounds.
    """
    channels, *sides = shape
    layers: list[nn.Module] = []
    for width in (16, 32, 32, 32, 32, 32):
        if min(sides) < 2 or (layers and max(sides) <= _SMALL):
            break
        layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.ReLU()]
        channels, sides = width, [side // 2 for side in sides]
    flat = channels * sides[0] * sides[1]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, 64), nn.ReLU()), 64


DETECTOR = "detector"
"""The architecture that tells images of the data from anything else; it reads no classes."""

ARCHITECTURES: dict[str, Architecture] = {
    DETECTOR: Architecture(_detector),
    "draw": Architecture(_draw),
    "fast": Architecture(_fast),
    "guard": Architecture(_guard),
    "judge": Architecture(_judge, least_side=4),
    "paint": Architecture(_paint),
    "reader": Architecture(_reader),
    "sharp": Architecture(_sharp, normalisation=(0.5, 0.1)),
    "sketch": Architecture(_sketch),
    "study": Architecture(_study, least_side=10),
}


def _flat_size(layers: list[nn.Module], shape: Shape) -> int:
    """Number of features after convolutions and pooling, computed without running them."""
    channels, rows, columns = shape
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            size, stride, padding = (
                each[0] if isinstance(each, tuple) else int(each)
                for each in (layer.kernel_size, layer.stride, layer.padding)
            )
            rows, columns = ((n + 2 * padding - size) // stride + 1 for n in (rows, columns))
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
    return channels * rows * columns
