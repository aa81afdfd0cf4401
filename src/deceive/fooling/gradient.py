"""The gradient of a score with respect to the pixels, checked."""

import torch
from torch import Tensor

from deceive.common.errors import InputError

# A gradient below this counts as vanished: float32 holds it with fewer digits or as 0. A candidate
# stalls if it vanishes in this share of its pixels. A smaller share means nothing: with max
# pooling, or a model that looks at part of the image, most pixels have no gradient.
_LEAST, _FLAT = torch.finfo(torch.float32).tiny, 0.95


def gradient_of(score: Tensor, images: Tensor) -> Tensor:
    """The gradient (N, C, H, W) of scores (N,) with respect to their images; frees the graph.

    >>> images = torch.ones(2, 1, 1, 2, requires_grad=True)
    >>> gradient_of((3 * images).sum((1, 2, 3)), images).flatten().tolist()
    [3.0, 3.0, 3.0, 3.0]

    Raises:
        InputError: when there is none.
    """
    gradient = None
    if score.requires_grad:
        ones = torch.ones_like(score)
        (gradient,) = torch.autograd.grad(score, images, ones, allow_unused=True)
    if gradient is None:
        raise InputError(
            "model: expected logits with a gradient with respect to the image, got none: something "
            "blocks it (detach(), no_grad(), integers); `audit` can search it as a black box"
        )
    return gradient


def check_finite(gradient: Tensor) -> None:
    """Raise `InputError` for a gradient that is NaN or infinite somewhere."""
    # A non-finite element makes the sum non-finite, and the sum is faster to check.
    if not gradient.sum().isfinite() and not gradient.isfinite().all():
        raise InputError(
            "model: expected a finite gradient with respect to the image, got NaN or infinity, "
            "although its logits are finite; look for a square root, norm or logarithm of 0"
        )


def is_flat(gradient: Tensor) -> Tensor:
    """Whether gradients (N, C, H, W) have vanished in nearly all pixels, (N,) bool.

    >>> is_flat(torch.tensor([0.0, 1e-40, 1.0]).view(3, 1, 1, 1)).tolist()
    [True, True, False]
    """
    return (gradient.abs() < _LEAST).float().mean((1, 2, 3)) >= _FLAT
