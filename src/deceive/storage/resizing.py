"""Resizing as plain operators that ONNX has too."""

import torch
from torch import Tensor

from deceive.common.errors import InputError


def bilinear_antialiased(
    images: Tensor,
    size: list[int],
    align_corners: bool,
    scales_h: float | None = None,
    scales_w: float | None = None,
) -> Tensor:
    """Images (N, C, H, W) at a size (h, w), bilinear with antialiasing: two matrix products.

    Runtimes have a resize of their own, whose antialiasing differs from torch's.
    """
    if align_corners or scales_h or scales_w:
        raise InputError(
            "network: expected a resize to a given size without align_corners, got another"
        )
    height, width = (
        images.new_tensor(weights(int(side), int(wanted)))
        for side, wanted in zip(images.shape[2:], size, strict=True)
    )
    return torch.matmul(torch.matmul(height, images), width.transpose(0, 1))


def weights(side: int, wanted: int) -> list[list[float]]:
    """How much each of `side` pixels counts for each of the `wanted` ones: (wanted, side).

    A triangle as wide as the pixels are apart in the larger of the two, cut off at the edges.

    >>> [round(each, 2) for each in weights(3, 1)[0]]
    [0.29, 0.43, 0.29]
    """
    scale = side / wanted
    reach = max(scale, 1.0)
    found = []
    for place in range(wanted):
        centre = scale * (place + 0.5)
        first, last = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), side)
        row = [
            max(0.0, 1 - abs((pixel - centre + 0.5) / reach)) if first <= pixel < last else 0.0
            for pixel in range(side)
        ]
        found.append([each / sum(row) for each in row])
    return found
