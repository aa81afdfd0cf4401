"""Garbage of many kinds, in batches: what a detector learns to refuse.

Each kind is a function of how many images, their shape and a generator, on whose device they are
made.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from deceive.common.levels import Shape

Way = TypeVar("Way")
Kind = Callable[[int, Shape, Generator], Tensor]
"""(n, (C, H, W), generator) → images (n, C, H, W) in [0, 1], float32."""


def uniform(n: int, shape: Shape, generator: Generator) -> Tensor:
    """Static, each image around a grey of its own and with a range of its own."""
    return _stretched(_rand(n, *shape, by=generator), generator)


def smooth(n: int, shape: Shape, generator: Generator) -> Tensor:
    """Clouds: coarse grids of noise of seven sizes, enlarged bicubically."""
    made = []
    for part, cells in _parts(n, (2, 3, 4, 5, 7, 9, 14)):
        coarse = _randn(part, shape[0], cells, cells, by=generator)
        made.append(F.interpolate(coarse, size=shape[1:], mode="bicubic"))
    return _stretched(_ranged(torch.cat(made)), generator)


def pink(n: int, shape: Shape, generator: Generator) -> Tensor:
    """Noise whose amplitude falls with frequency as a power of it, as in photographs."""
    rows, columns = shape[1:]
    device = generator.device
    down, right = torch.fft.fftfreq(rows, device=device), torch.fft.rfftfreq(columns, device=device)
    frequency = (down[:, None].square() + right.square()).sqrt().clamp_min(1 / max(rows, columns))
    power = 0.3 + 1.7 * _rand(n, 1, 1, 1, by=generator)
    white = torch.fft.rfft2(_randn(n, *shape, by=generator))
    return _stretched(_ranged(torch.fft.irfft2(white * frequency**-power, s=shape[1:])), generator)


def leaves(n: int, shape: Shape, generator: Generator, count: int = 24) -> Tensor:
    """Dead leaves (Lee, Mumford and Huang 2001): discs, ellipses and boxes, one over another."""
    images = _rand(n, shape[0], 1, 1, by=generator).expand(n, *shape)
    down, right = _grid(shape, generator.device)
    for _ in range(count):
        y, x, angle, size, flat, corner, black = _rand(7, n, 1, 1, by=generator)
        turn = math.pi * angle
        u, v = (
            (right - x) * turn.cos() + (down - y) * turn.sin(),
            (down - y) * turn.cos() - (right - x) * turn.sin(),
        )
        radius = 0.05 * (0.02 + 0.98 * size).rsqrt()  # few are large
        u, v = u / radius, v / (radius * (0.3 + 0.7 * flat))
        round_ = u.square() + v.square() < 1
        inside = torch.where(corner < 0.5, round_, torch.maximum(u.abs(), v.abs()) < 1)
        grey = _rand(n, shape[0], 1, 1, by=generator)
        grey = torch.where(black[:, None] < 0.15, (grey > 0.5).float(), grey)
        images = torch.where(inside[:, None], grey, images)
    return images


def silhouettes(n: int, shape: Shape, generator: Generator) -> Tensor:
    """One or several smooth, often symmetric outlines, filled with a texture, on a plain ground."""
    inside = _outline(n, shape, generator)
    for share in (0.5, 0.3):
        more = _rand(n, 1, 1, 1, by=generator) < share
        other = _outline(n, shape, generator)
        hole = _rand(n, 1, 1, 1, by=generator) < 0.4
        joined = torch.where(hole, inside * (1 - other), torch.maximum(inside, other))
        inside = torch.where(more, joined, inside)
    mirrored = _rand(n, 1, 1, 1, by=generator) < 0.4
    inside = torch.where(mirrored, torch.maximum(inside, inside.flip(3)), inside)
    ground = _rand(n, shape[0], 1, 1, by=generator)
    ground = torch.where(_rand(n, 1, 1, 1, by=generator) < 0.85, 0.0, 0.5 * ground)
    return ground + inside * (_texture(n, shape, generator) - ground)


def strokes(n: int, shape: Shape, generator: Generator) -> Tensor:
    """Several straight or bent bars of many widths and greys."""
    down, right = _grid(shape, generator.device)
    images = torch.zeros(n, *shape, device=generator.device)
    for number in range(8):
        ends = _rand(4, n, 1, 1, by=generator)
        width = 0.01 + 0.09 * _rand(n, 1, 1, by=generator)
        y, x, dy, dx = ends[0], ends[1], ends[2] - ends[0], ends[3] - ends[1]
        along = ((down - y) * dy + (right - x) * dx) / (dy.square() + dx.square()).clamp_min(1e-4)
        along = along.clamp(0, 1)
        gap = ((down - y - along * dy).square() + (right - x - along * dx).square()).sqrt()
        painted = ((width - gap) * min(shape[1:]) + 0.5).clamp(0, 1)
        drawn = (_rand(n, 1, 1, by=generator) < (1 if number < 3 else 0.5)).float()
        grey = 0.3 + 0.7 * _rand(n, shape[0], 1, 1, by=generator)
        images = torch.maximum(images, (painted * drawn)[:, None] * grey)
    return images


def stripes(n: int, shape: Shape, generator: Generator) -> Tensor:
    """Plane waves and checks of many lengths and directions, soft and hard."""
    down, right = _grid(shape, generator.device)
    angle, length, phase, hard = _rand(4, n, 1, 1, by=generator)
    turn, wave = math.pi * angle, 2 * math.pi * 14**length
    first = (wave * (right * turn.cos() + down * turn.sin()) + 6.3 * phase).sin()
    second = (wave * (down * turn.cos() - right * turn.sin())).sin()
    checked = _rand(n, 1, 1, by=generator) < 0.3
    both = torch.where(checked, first * second, first) * (1 + 9 * hard.square())
    return _stretched((0.5 + 0.5 * both).clamp(0, 1)[:, None].expand(n, *shape), generator)


def _texture(n: int, shape: Shape, generator: Generator) -> Tensor:
    kinds = (smooth, pink, leaves, stripes, _flat)
    made = [kind(part, shape, generator) for part, kind in _parts(n, kinds)]
    mixed = torch.cat(made)[torch.randperm(n, generator=generator, device=generator.device)]
    # Many are bright, as what stands out from a dark ground is.
    lift = _rand(n, 1, 1, 1, by=generator)
    return torch.where(_rand(n, 1, 1, 1, by=generator) < 0.5, lift + (1 - lift) * mixed, mixed)


def _flat(n: int, shape: Shape, generator: Generator) -> Tensor:
    return _rand(n, shape[0], 1, 1, by=generator).expand(n, *shape)


def _outline(n: int, shape: Shape, generator: Generator) -> Tensor:
    """Masks (n, 1, H, W) in [0, 1] of a closed curve whose radius is a short Fourier series."""
    down, right = _grid(shape, generator.device)
    y, x, height, width = _rand(4, n, 1, 1, by=generator)
    v = (down - 0.5 - 0.3 * (y - 0.5)) / (0.1 + 0.4 * height)
    u = (right - 0.5 - 0.3 * (x - 0.5)) / (0.1 + 0.4 * width)
    angle, distance = torch.atan2(v, u), (u.square() + v.square()).sqrt()
    radius = torch.ones_like(distance)
    for order in range(2, 8):
        swing = _randn(n, 1, 1, by=generator) * 0.45 / order
        radius = radius + swing * (order * angle + 6.3 * _rand(n, 1, 1, by=generator)).cos()
    boxed = torch.maximum(u.abs(), v.abs())
    square = _rand(n, 1, 1, by=generator) < 0.25
    distance, radius = torch.where(square, boxed, distance), torch.where(square, 1.0, radius)
    return ((radius - distance) * min(shape[1:]) / 4 + 0.5).clamp(0, 1)[:, None]


KINDS: dict[str, Kind] = {
    "uniform": uniform,
    "smooth": smooth,
    "pink": pink,
    "leaves": leaves,
    "silhouettes": silhouettes,
    "strokes": strokes,
    "stripes": stripes,
}
"""By name."""


def shuffled(real: Tensor, generator: Generator) -> Tensor:
    """Real images (n, C, H, W), the pixels of each in an order of its own."""
    order = _rand(len(real), real[0, 0].numel(), by=generator).argsort(1)
    return real.flatten(2).gather(2, order[:, None].expand(-1, real.shape[1], -1)).view_as(real)


def patchwork(real: Tensor, generator: Generator, side: int = 7) -> Tensor:
    """Blocks of `side`×`side` pixels from anywhere in real images (n, C, H, W), side by side."""
    n, _, rows, columns = real.shape
    blocks = F.unfold(F.pad(real, (0, -columns % side, 0, -rows % side)), side, stride=side)
    mixed = blocks.transpose(1, 2).reshape(-1, blocks.shape[1])
    mixed = mixed[torch.randperm(len(mixed), generator=generator, device=generator.device)]
    mixed = mixed.view(n, blocks.shape[2], -1).transpose(1, 2)
    size = (rows + -rows % side, columns + -columns % side)
    return F.fold(mixed, size, side, stride=side)[:, :, :rows, :columns]


def swollen(real: Tensor, generator: Generator) -> Tensor:
    """Real images (n, C, H, W) whose strokes have grown into blots, filled with a texture."""
    made = [
        F.max_pool2d(part, size, 1, size // 2)
        for part, size in zip(real.chunk(3), (5, 7, 9), strict=False)
    ]
    shape = (real.shape[1], real.shape[2], real.shape[3])
    return torch.cat(made) * _texture(len(real), shape, generator)


def inverted(real: Tensor, generator: Generator) -> Tensor:
    """Real images (n, C, H, W), black for white."""
    return 1 - real


OF_REAL: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "shuffled": shuffled,
    "patchwork": patchwork,
    "swollen": swollen,
    "inverted": inverted,
}
"""Garbage made of real images, by name."""


def _rand(*size: int, by: Generator) -> Tensor:
    return torch.rand(size, generator=by, device=by.device, dtype=torch.float32)


def _randn(*size: int, by: Generator) -> Tensor:
    return torch.randn(size, generator=by, device=by.device, dtype=torch.float32)


def _parts(n: int, ways: Sequence[Way]) -> Iterator[tuple[int, Way]]:
    """How many of n images are made in each way, of those in which some are."""
    for number, way in enumerate(ways):
        if part := (n + number) // len(ways):
            yield part, way


def _grid(shape: Shape, device: torch.device) -> tuple[Tensor, Tensor]:
    """How far down (H, 1) and right (1, W) each pixel is, as a share of the image."""
    down, right = ((torch.arange(side, device=device) + 0.5) / side for side in shape[1:])
    return down[:, None], right[None, :]


def _ranged(images: Tensor) -> Tensor:
    """Each image from black to white."""
    low, high = images.amin((1, 2, 3), True), images.amax((1, 2, 3), True)
    return (images - low) / (high - low).clamp_min(1e-6)


def _stretched(images: Tensor, generator: Generator) -> Tensor:
    """Half of the images as they are; the others between two greys of their own."""
    ends = _rand(len(images), 2, 1, 1, 1, by=generator).sort(1).values
    low, high = ends.unbind(1)
    as_it_is = _rand(len(images), 1, 1, 1, by=generator) < 0.5
    return torch.where(as_it_is, images, low + (high - low) * images)
