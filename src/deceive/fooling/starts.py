"""Starts: the images that optimising begins with.

Every image has its own random generator, made from the seed and the image's number. So image 17 of
20 is image 17 of 10,000, whatever the batches.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from deceive.common import arguments, checks
from deceive.common.checks import shown
from deceive.common.errors import InputError
from deceive.common.levels import Bounds, Shape
from deceive.common.seeds import generator_for

Start = Callable[[Shape, Generator], Tensor]
"""A shape (C, H, W) and a generator to one image of that shape in [0, 1], float32."""
Starts = Callable[[range], Tensor]
"""Image numbers to their start images (n, C, H, W) within the bounds."""

# Number of squares in an image.
_SQUARES = 30

# Independent of the caller's defaults: images are the same everywhere.
_PIXELS: Any = {"dtype": torch.float32, "device": "cpu"}


def uniform(shape: Shape, generator: Generator) -> Tensor:
    """Static: every pixel drawn uniformly from [0, 1).

    >>> uniform((1, 28, 28), Generator().manual_seed(0)).shape
    torch.Size([1, 28, 28])
    """
    return torch.rand(shape, generator=generator, **_PIXELS)


def gaussian(shape: Shape, generator: Generator) -> Tensor:
    """Static around mid-grey: normal with mean 0.5 and standard deviation 0.2, clamped.

    >>> image = gaussian((3, 32, 32), Generator().manual_seed(0))
    >>> round(image.mean().item(), 1), round(image.std().item(), 1)
    (0.5, 0.2)
    """
    return torch.randn(shape, generator=generator, **_PIXELS).mul_(0.2).add_(0.5).clamp_(0, 1)


def smooth(shape: Shape, generator: Generator) -> Tensor:
    """Clouds: a coarse grid of uniform noise, a quarter of the size, enlarged bicubically.

    >>> image = smooth((1, 28, 28), Generator().manual_seed(0))
    >>> bool(image.diff().abs().mean() < 0.2)  # 1/3 for `uniform`
    True
    """
    channels, height, width = shape
    sizes = (1, channels, -(-height // 4), -(-width // 4))
    coarse = torch.rand(sizes, generator=generator, **_PIXELS)
    return F.interpolate(coarse, size=(height, width), mode="bicubic")[0].clamp_(0, 1)


def blank(shape: Shape, generator: Generator) -> Tensor:
    """Black, as the background of a digit; the generator isn't used.

    >>> blank((1, 28, 28), Generator()).max().item()
    0.0
    """
    return torch.zeros(shape, **_PIXELS)


def squares(shape: Shape, generator: Generator) -> Tensor:
    """Black and white squares on top of one another, smaller and smaller; each channel its own.

    The dead leaves model (Lee, Mumford and Huang 2001), and what random searches end in.

    >>> squares((1, 28, 28), Generator().manual_seed(0)).unique().tolist()
    [0.0, 1.0]
    """
    channels, height, width = shape
    chance = torch.rand(_SQUARES, 2 + channels, generator=generator, **_PIXELS)
    sides = torch.tensor(_sides(min(height, width)), device="cpu")
    room = torch.stack([height - sides, width - sides], 1) + 1
    places = (chance[:, :2] * room).int().tolist()
    colours = chance[:, 2:].round().numpy()[:, :, None, None]
    image = np.zeros(shape, np.float32)
    for side, (top, left), colour in zip(sides.tolist(), places, colours, strict=True):
        image[:, top : top + side, left : left + side] = colour
    return torch.from_numpy(image)


@cache
def _sides(most: int) -> tuple[int, ...]:
    """The sides in pixels of all squares, from half of `most` down to 1."""
    spent = torch.linspace(0, 1, _SQUARES, **_PIXELS).tolist()
    return tuple(max(1, round(most / 2 * (1 - each) ** 2)) for each in spent)


def with_square(images: Tensor, sides: Tensor | int, chance: Tensor) -> Tensor:
    """Images (N, C, H, W) with a black or white square on each.

    For many images at once; `squares` paints all squares on its one image, which is faster.

    >>> lower_right = torch.tensor([[0.9, 0.9, 1]])
    >>> with_square(torch.zeros(1, 1, 3, 3), 2, lower_right)[0, 0].tolist()
    [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]

    Args:
        images: not changed.
        sides: side of the square in pixels: one number, or (N,).
        chance: (N, 2 + C) in [0, 1): how far down and how far right, where 1 would be just beyond;
            and the colour of each channel, which is rounded.
    """
    sides = torch.as_tensor(sides, device=images.device).expand(len(images))
    inside = []
    for size, place in zip(images.shape[2:], chance[:, :2].unbind(1), strict=True):
        first = (place * (size - sides + 1)).floor()[:, None]
        pixel = torch.arange(size, device=images.device)
        inside.append((pixel >= first) & (pixel < first + sides[:, None]))
    rows, columns = inside
    square = (rows[:, :, None] & columns[:, None, :])[:, None]
    return torch.where(square, chance[:, 2:].round()[:, :, None, None], images)


STARTS: dict[str, Start] = {
    "uniform": uniform,
    "gaussian": gaussian,
    "smooth": smooth,
    "blank": blank,
    "squares": squares,
}
"""By name."""


# A start that isn't noise: a real image of another class than its target.
REAL = "real"


def begin(start: str, indices: range, shape: Shape, seed: int) -> Tensor:
    """Start images (len(indices), C, H, W) in [0, 1], float32, on the CPU.

    Raises `InputError` if `start` is not one of `STARTS`.

    >>> torch.equal(begin("uniform", range(20), (1, 8, 8), 0)[17:],
    ...             begin("uniform", range(17, 20), (1, 8, 8), 0))
    True
    """
    if not isinstance(start, str) or start not in STARTS:
        raise InputError(
            f"start: expected one of {', '.join(STARTS)}, or a tensor of images; got {shown(start)}"
        )
    kind = STARTS[start]
    images = [kind(shape, generator_for(seed, index)) for index in indices]
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
