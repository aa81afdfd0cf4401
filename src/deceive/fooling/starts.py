"""Where an image begins.

Every image has a random generator of its own, made from the seed and the image's number: image 17
of a batch of 20 is image 17 of a batch of 10,000, however the work is cut up.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from deceive.common import arguments, checks
from deceive.common.checks import shown
from deceive.common.errors import InputError
from deceive.common.levels import Bounds, Shape
from deceive.common.seeds import generator_for

Start = Callable[[Shape, Generator], Tensor]
Starts = Callable[[range], Tensor]
"""Image numbers to their start images (n, C, H, W) within the bounds."""

# How many of them lie upon one another.
_SQUARES = 30

# Independent of the caller's defaults: images are the same everywhere.
_PIXELS: Any = {"dtype": torch.float32, "device": "cpu"}


def uniform(shape: Shape, generator: Generator) -> Tensor:
    """Static: every pixel drawn evenly from [0, 1)."""
    return torch.rand(shape, generator=generator, **_PIXELS)


def gaussian(shape: Shape, generator: Generator) -> Tensor:
    """Static around mid-grey: normal with mean 0.5 and standard deviation 0.2, clamped."""
    return torch.randn(shape, generator=generator, **_PIXELS).mul_(0.2).add_(0.5).clamp_(0, 1)


def smooth(shape: Shape, generator: Generator) -> Tensor:
    """Clouds: a coarse grid of uniform noise, a quarter of the size, enlarged bicubically."""
    channels, height, width = shape
    sizes = (1, channels, -(-height // 4), -(-width // 4))
    coarse = torch.rand(sizes, generator=generator, **_PIXELS)
    return F.interpolate(coarse, size=(height, width), mode="bicubic")[0].clamp_(0, 1)


def blank(shape: Shape, generator: Generator) -> Tensor:
    """Black, the background of a digit."""
    return torch.zeros(shape, **_PIXELS)


def squares(shape: Shape, generator: Generator) -> Tensor:
    """Black and white squares (each channel has its own) upon one another, ever smaller ones.

    What is called dead leaves (Lee, Mumford and Huang 2001), and what a random search ends in.
    """
    channels, *sizes = shape
    image = torch.zeros(shape, **_PIXELS)
    for spent in torch.linspace(0, 1, _SQUARES, **_PIXELS):
        side = max(1, round(min(sizes) / 2 * (1 - spent.item()) ** 2))
        draw = torch.rand(2 + channels, generator=generator, **_PIXELS)
        top, left = (
            int(place * (size - side + 1)) for place, size in zip(draw[:2], sizes, strict=True)
        )
        colour = draw[2:].round()[:, None, None]
        image[:, top : top + side, left : left + side] = colour
    return image


def with_square(images: Tensor, sides: Tensor | int, draw: Tensor) -> Tensor:
    """Images (N, C, H, W) with a black or white square upon each.

    For many at once; `squares` paints on its one image, which is three times as quick.

    Args:
        images: not changed.
        sides: how large it is, in pixels: one number, or (N,).
        draw: (N, 2 + C) in [0, 1): how far down and how far right, where 1 would be just beyond;
            and the colour of each channel, which is rounded.
    """
    sides = torch.as_tensor(sides, device=images.device).expand(len(images))
    inside = []
    for size, place in zip(images.shape[2:], draw[:, :2].unbind(1), strict=True):
        first = (place * (size - sides + 1)).floor()[:, None]
        pixel = torch.arange(size, device=images.device)
        inside.append((pixel >= first) & (pixel < first + sides[:, None]))
    rows, columns = inside
    square = (rows[:, :, None] & columns[:, None, :])[:, None]
    return torch.where(square, draw[:, 2:].round()[:, :, None, None], images)


STARTS: dict[str, Start] = {
    "uniform": uniform,
    "gaussian": gaussian,
    "smooth": smooth,
    "blank": blank,
    "squares": squares,
}


# Not noise: an image of another class than the one it is to be taken for.
REAL = "real"


def begin(start: str, indices: range, shape: Shape, seed: int) -> Tensor:
    """Start images (len(indices), C, H, W) in [0, 1], float32, on the CPU.

    Raises `InputError` when `start` is not one of `STARTS`.
    """
    if not isinstance(start, str) or start not in STARTS:
        raise InputError(
            f"start: expected one of {', '.join(STARTS)}, or a tensor of images; got {shown(start)}"
        )
    draw = STARTS[start]
    images = [draw(shape, generator_for(seed, index)) for index in indices]
    return torch.stack(images) if images else torch.empty(0, *shape, **_PIXELS)


def starts_of(start: str | Tensor, total: int, shape: Shape, seed: int, bounds: Bounds) -> Starts:
    """Starts of a kind of `STARTS`, from a seed; or the caller's own images."""
    if isinstance(start, str):
        checks.one_of("start", start, STARTS)
        low, high = bounds
        return lambda numbers: (
            begin(start, numbers, shape, seed).mul_(high - low).add_(low).clamp_(low, high)
        )
    if not isinstance(start, Tensor):
        raise InputError(f"start: expected a name or a tensor, got {type(start).__name__}")
    return given_starts("start", start, total, bounds)


def given_starts(name: str, images: Tensor, total: int, bounds: Bounds) -> Starts:
    """The caller's own images: one for each of `total`, or one for all."""
    low, high = bounds
    arguments.tensor(name, images)
    if images.ndim != 4 or len(images) not in (1, total) or not images.is_floating_point():
        raise InputError(
            f"{name}: expected float images (N, C, H, W) with N = 1 or {total}, "
            f"got {images.dtype} {tuple(images.shape)}"
        )
    if not (images.min() >= low and images.max() <= high):
        raise InputError(
            f"{name}: expected pixels within {low:g} to {high:g}, "
            f"got {images.min():g} to {images.max():g}"
        )
    own = images.detach().float().expand(total, -1, -1, -1)
    return lambda numbers: own[numbers.start : numbers.stop]
