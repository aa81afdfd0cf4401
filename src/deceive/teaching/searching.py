"""Candidates led without a gradient: by squares that help, as a random search puts them."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from deceive.fooling.starts import with_square

# How many squares a candidate gets in a round, and out of how many each is the best.
_SQUARES, _PROPOSALS = 4, 8


@torch.no_grad()
def search(
    images: Tensor, score_of: Callable[[Tensor], Tensor], *, enough: float, generator: Generator
) -> Tensor:
    """Images (N, C, H, W) with a few squares more, each of them the best of several, if it helps.

    A greedy relative of the Square Attack (Andriushchenko et al. 2020): without a limit, with
    squares of all sizes at once, of up to half a side and the smaller the more often.

    Args:
        images: in [0, 1].
        score_of: images (N, P, C, H, W), P of each candidate, to their scores (N, P); more is
            better.
        enough: a candidate of at least this score is left as it is.
        generator: for where the squares are put, and their colours.
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
