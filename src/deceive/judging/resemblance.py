"""Whether images look like real ones, without a judge: distances and frequencies of pixels."""

from collections.abc import Iterable

import torch
from torch import Tensor


def nearest(images: Tensor, real: Iterable[Tensor]) -> Tensor:
    """How far each image (N, C, H, W) is from the nearest real one: RMS difference of pixels (N,).

    Args:
        images: pixels in [0, 1].
        real: real images in batches (n, C, H, W), at least one.

    >>> nearest(torch.zeros(1, 1, 2, 2), [torch.ones(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.5)])
    tensor([0.5000])
    """
    flat = images.flatten(1) - 0.5  # shorter vectors round less
    found = [torch.cdist(flat, batch.flatten(1) - 0.5).amin(1) for batch in real]
    distances: Tensor = torch.stack(found).amin(0) / flat.shape[1] ** 0.5
    return distances


def high_frequencies(images: Tensor) -> Tensor:
    """The share (N,) of the energy of images (N, C, H, W) that is in high frequencies.

    Σ |F(u, v)|² over frequencies with √(u² + v²) > 1/4 cycle per pixel, which is half of Nyquist's,
    over the sum of all, F the Fourier transform of each channel less its mean. White noise has 0.80
    (1 - π/16), a photograph a few per cent, an even image 0.

    >>> board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(1, 1, 4, 4)
    >>> high_frequencies(board)
    tensor([1.])
    """
    height, width = images.shape[-2:]
    energy = torch.fft.fft2(images - images.mean((2, 3), keepdim=True)).abs().square()
    across, down = torch.fft.fftfreq(width), torch.fft.fftfreq(height)
    high = (down[:, None].square() + across.square()) > 1 / 16
    total = energy.sum((1, 2, 3))
    share: Tensor = energy[..., high].sum((1, 2)) / total.clamp_min(torch.finfo(total.dtype).tiny)
    # Rounding leaves an even image some energy: far below that of one pixel a level off.
    least = 0.5 * height * width / 255**2
    return torch.where(total > least, share, 0)
