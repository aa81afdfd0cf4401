"""Garbage that a guard is shown while it is trained, and from which candidates climb."""

import torch
from torch import Generator, Tensor

from deceive.certifying.garbage import KINDS, OF_REAL
from deceive.common.levels import Shape, to_levels
from deceive.fooling.starts import STARTS, begin

# How often each kind is made; 1 for kinds not listed. Inverted images are left out, because an
# inverted photograph still shows its class.
_SHARES = {"scribbles": 3.0, "noised": 2.0, "inverted": 0.0, "smooth": 3.0, "blank": 2.0}

# Images that are made at a time, and the most bytes of all.
_AT_ONCE, _MEMORY = 500, 2**28

# Lines in a scribble, points of each, and the standard deviations of noise on real images.
_LINES, _POINTS, _NOISE = 3, 24, (0.1, 0.5)


def garbage_for(real: Tensor, count: int, generator: Generator) -> Tensor:
    """About `count` images of garbage of all kinds, as levels (M, C, H, W) uint8, in any order.

    Args:
        real: images (N, C, H, W) in [0, 1].
        count: fewer of large images, so that all take at most a quarter of a gigabyte.
        generator: draws all of it.
    """
    shape: Shape = tuple(real.shape[1:])  # type: ignore[assignment]
    count = min(count, _MEMORY // real[0].numel())
    kinds = dict.fromkeys((*KINDS, *OF_REAL, "scribbles", "noised", "flat", *STARTS))
    if shape[0] > 1:
        kinds["grey"] = None
    whole = sum(_SHARES.get(kind, 1.0) for kind in kinds)
    made = []
    for kind in kinds:
        left = round(count * _SHARES.get(kind, 1.0) / whole)
        while left > 0:
            n = min(left, _AT_ONCE)
            made.append(to_levels(_some(kind, n, shape, real, generator)))
            left -= n
    return torch.cat(made)


def _some(kind: str, n: int, shape: Shape, real: Tensor, generator: Generator) -> Tensor:
    """Images (n, C, H, W) of a kind."""
    chosen = real[torch.randint(len(real), (n,), generator=generator)].float()
    if kind == "scribbles":
        return scribbles(n, shape, generator)
    if kind == "noised":
        least, most = _NOISE
        sigma = least + (most - least) * torch.rand(n, 1, 1, 1, generator=generator)
        return (chosen + sigma * torch.randn(chosen.shape, generator=generator)).clamp(0, 1)
    if kind == "flat":
        return torch.rand(n, shape[0], 1, 1, generator=generator).expand(n, *shape)
    if kind == "grey":
        return torch.rand(n, 1, 1, 1, generator=generator).expand(n, *shape)
    if kind in KINDS and kind not in STARTS:
        return KINDS[kind](n, shape, generator)
    if kind in OF_REAL:
        return OF_REAL[kind](chosen, generator)
    return begin(kind, range(n), shape, int(torch.randint(2**60, (), generator=generator)))


def scribbles(n: int, shape: Shape, generator: Generator) -> Tensor:
    """Grey lines on black, bent (quadratic Bézier curves), often one from where another ends.

    Returns:
        (n, C, H, W) in [0, 1].
    """
    rows, columns = shape[1:]
    down = (torch.arange(rows) + 0.5)[:, None] / rows
    right = (torch.arange(columns) + 0.5)[None] / columns
    t = torch.linspace(0, 1, _POINTS)
    weights = torch.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2])
    images, end = torch.zeros(n, rows, columns), torch.zeros(n, 2)
    for number in range(_LINES):
        knots = 0.1 + 0.8 * torch.rand(n, 3, 2, generator=generator)
        joined, drawn, grey, width = torch.rand(4, n, 1, 1, generator=generator)
        if number:
            knots[:, 0] = torch.where(joined[:, 0] < 0.6, end, knots[:, 0])
        points, end = torch.einsum("nkd,kt->ntd", knots, weights)[..., None, None], knots[:, 2]
        away = ((points[:, :, 0] - down) ** 2 + (points[:, :, 1] - right) ** 2).amin(1).sqrt()
        ink = ((0.02 + 0.06 * width - away) * min(rows, columns) / 1.5 + 0.5).clamp(0, 1)
        ink = ink * (0.4 + 0.6 * grey) * (drawn < (0.6 if number else 1))
        images = torch.maximum(images, ink)
    return images[:, None].expand(n, *shape)
