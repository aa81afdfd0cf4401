"""A random search without a gradient, which adds squares to images where they help."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from deceive.fooling.starts import with_square

# Squares that an image may get, and proposals for each of them.
_SQUARES, _PROPOSALS = 4, 8


@torch.no_grad()
def led_by_squares(
    images: Tensor, score_of: Callable[[Tensor], Tensor], *, enough: float, generator: Generator
) -> Tensor:
    """Add a few squares to each image: each the best of several proposals, and only if it helps.

    A greedy relative of the Square Attack (Andriushchenko et al. 2020): without a limit on the
    change, with squares of all sizes at once, up to half a side and small ones more often.

    >>> def brightness(images):
    ...     return images.mean((2, 3, 4))
    >>> generator = torch.Generator().manual_seed(0)
    >>> black = torch.zeros(2, 1, 8, 8)
    >>> found = led_by_squares(black, brightness, enough=1, generator=generator)
    >>> bool((found.mean((1, 2, 3)) > 0.2).all())
    True

    Args:
        images: (N, C, H, W) in [0, 1].
        score_of: images (N, P, C, H, W), P proposals for each, to their scores (N, P); more is
            better.
        enough: an image with at least this score is left as it is.
        generator: draws the squares' places, sizes and colours.
    """
    count, channels, *sizes = images.shape
    score = score_of(images[:, None])[:, 0]
    for _ in range(_SQUARES):
        draw = torch.rand(count, _PROPOSALS, 3 + channels, generator=generator)
        sides = (min(sizes) / 2 * (1 - draw[..., 0]).square()).round().clamp_min(1)
        each = images.repeat_interleave(_PROPOSALS, 0)
        proposals = with_square(each, sides.flatten(), draw[..., 1:].flatten(0, 1))
        proposals = proposals.view(count, _PROPOSALS, channels, *sizes)
        best, which = score_of(proposals).max(1)
        better = (best >= score) & (score < enough)
        chosen = proposals[torch.arange(count), which.cpu()]
        images = torch.where(better.cpu()[:, None, None, None], chosen, images)
        score = torch.where(better, best, score)
    return images
