"""The layers that networks are made of: strided convolutions, with or without the noise level."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.common.levels import Shape
from deceive.networks.convolutions import HalvingConv, folded


class _Strided(nn.Module):
    """Strided convolutions, enough of them to halve the image's sides to a few pixels.

    No pooling and no batch normalisation: every pixel has a gradient, and an image's logits don't
    depend on the rest of the batch. Pixels are first folded 2×2 into channels, so that no
    convolution works at full size, where a processor spends most of its time moving memory.
    """

    def __init__(self, shape: Shape, widths: tuple[int, ...] = (80, 160, 160), hidden: int = 128):
        super().__init__()
        rows, columns = (-(-side // 2) for side in shape[1:])
        channels, convolutions = 4 * shape[0], []
        for width in widths:
            # Where a side is one pixel there is nothing left to convolve, and the weights' gradient
            # in bfloat16 is sometimes NaN.
            if min(rows, columns) > 1:
                convolutions.append(HalvingConv(channels, width))
                channels, rows, columns = width, -(-rows // 2), -(-columns // 2)
        self.convolutions = nn.ModuleList(convolutions)
        self.linear = nn.Linear(channels * rows * columns, hidden)
        self.widths = (*(layer.out_channels for layer in convolutions), hidden)

    slope = 0.1
    """Of the activations below 0."""

    @staticmethod
    def folded(x: Tensor) -> Tensor:
        """Images (N, C, H, W) with pixels folded 2×2 into channels: (N, 4 C, H / 2, W / 2)."""
        return folded(x, 2)

    def features(self, x: Tensor, *added: Tensor) -> Tensor:
        """Features (N, hidden) of normalised images (N, C, H, W).

        Each layer's `added` (N, width), if there are any, goes in before its activation.
        """
        x = self.folded(x).contiguous(memory_format=torch.channels_last)
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x)
            x = _rectified(x + added[number][:, :, None, None] if added else x)
        x = self.linear(x.flatten(1))
        return _rectified(x + added[-1] if added else x)


class StridedBody(_Strided):
    """These convolutions, and nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, hidden) of normalised images (N, C, H, W)."""
        return self.features(x)


class NoiseBody(_Strided):
    """The same convolutions, with the noise level as a second input, added to every layer."""

    def __init__(self, shape: Shape, widths: tuple[int, ...] = (80, 160, 160), hidden: int = 128):
        super().__init__(shape, widths, hidden)
        last = nn.Linear(32, sum(self.widths))
        self.noise = nn.Sequential(nn.Linear(2 * _OCTAVES, 32), nn.SiLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Features (N, hidden) of normalised images (N, C, H, W) with noise (N,)."""
        return self.features(x, *self.noise(_waves(noise)).split(self.widths, 1))


class FullSizeBody(NoiseBody):
    """The same behind a convolution at full size.

    Strides leave a grid in the gradient, which shows in grey and in colour. A layer without a
    stride makes it fainter, for two fifths more time (docs/laboratory/fashion.md).
    """

    def __init__(self, shape: Shape, widths: tuple[int, ...] = (80, 160, 160), hidden: int = 128):
        super().__init__((_AT_FULL_SIZE, *shape[1:]), widths, hidden)
        self.first = nn.Conv2d(shape[0], _AT_FULL_SIZE, 5, padding=2)

    def features(self, x: Tensor, *added: Tensor) -> Tensor:
        """Features (N, hidden) of normalised images (N, C, H, W); see `NoiseBody`."""
        return super().features(_rectified(self.first(x)), *added)


# Channels of the convolution at full size.
_AT_FULL_SIZE = 8


def _rectified(x: Tensor) -> Tensor:
    """Leaky, so that no pixel is ever without a gradient (Maas et al. 2013)."""
    return F.leaky_relu_(x, _Strided.slope)


# The noise level is encoded in this many frequencies, each twice the last.
_OCTAVES = 4


def _waves(noise: Tensor) -> Tensor:
    """Sines and cosines (N, 2 × octaves) of the noise's logarithm."""
    phase = (noise + 0.01).log()[:, None] * 2.0 ** torch.arange(
        -1, _OCTAVES - 1, device=noise.device
    )
    return torch.cat([phase.sin(), phase.cos()], 1)
