"""Smoothing: gradients in noise, without their finest grain."""

import torch
from torch import Tensor


def softened(gradient: Tensor, width: Tensor) -> Tensor:
    """Gradients (N, C, H, W) blurred by gaussians of standard deviations `width` (N,), in pixels.

    At the border the gaussian covers only what is inside. A width of 0 changes nothing.

    >>> softened(torch.tensor([[[[1.0, 0, 0]]]]), torch.tensor([0.0])).tolist()
    [[[[1.0, 0.0, 0.0]]]]
    >>> softened(torch.ones(1, 1, 2, 2), torch.tensor([3.0])).sum().item()
    4.0
    """
    rows, columns = (_blur(size, width.to(gradient)) for size in gradient.shape[2:])
    return rows[:, None] @ gradient @ columns[:, None].mT


def _blur(size: int, width: Tensor) -> Tensor:
    """Matrices (N, size, size) that blur a line of pixels; each row sums to 1."""
    place = torch.arange(size, device=width.device)
    apart = (place[:, None] - place).square()
    # A tiny width instead of 0, so that each pixel keeps its own weight alone.
    return torch.softmax(-apart / (2 * width.clamp_min(1e-3).square()[:, None, None]), 2)
