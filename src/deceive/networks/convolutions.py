"""Convolutions in forms that are quick on a processor; their weights are those of `nn.Conv2d`."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HalvingConv(nn.Conv2d):
    """A 3×3 convolution of stride 2 with padding 1, as matrix products under bfloat16 autocast.

    For images of a few pixels and many channels, the library's kernels in bfloat16 take twice as
    long on a processor, most of all for the gradients. In float32 they are the quicker ones.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Output (N, channels, H / 2, W / 2), rounded up, for images (N, C, H, W)."""
        working = (
            torch.get_autocast_dtype("cpu")
            if torch.is_autocast_enabled("cpu")
            else self.weight.dtype
        )
        if images.device.type != "cpu" or working != torch.bfloat16:
            return super().forward(images)
        images, weight, bias = (
            cast(Tensor, each).bfloat16() for each in (images, self.weight, self.bias)
        )
        patches: Tensor = _Patches.apply(images)  # type: ignore[no-untyped-call]
        return F.linear(patches, weight.permute(0, 2, 3, 1).flatten(1), bias).permute(0, 3, 1, 2)


class _Patches(torch.autograd.Function):
    """Images (N, C, H, W) to the 3×3 pixels that each output is made of: (N, H', W', 9 C)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.shape = images.shape
        n, channels, height, width = images.shape
        padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
        each, row, column, _ = padded.stride()
        # Three pixels beside each other lie in a row.
        size = (n, -(-height // 2), -(-width // 2), 3, 3 * channels)
        return padded.as_strided(size, (each, 2 * row, 2 * column, row, 1)).flatten(3)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        spread: Tensor = _Spread.apply(*gradients, ctx.shape)  # type: ignore[no-untyped-call]
        return spread


class _Spread(torch.autograd.Function):
    """Patches added up where they come from, in images of a shape; the adjoint of `_Patches`."""

    @staticmethod
    def forward(ctx: Any, patches: Tensor, shape: torch.Size) -> Tensor:
        _, channels, height, width = shape
        patches = patches.reshape(*patches.shape[:3], 3, 3, channels).transpose(2, 3)
        # Each has four pixels of its own, and its first row and column are its neighbours' last.
        images = patches[:, :, 1:, :, 1:].contiguous()
        images[:, :, :, :-1, 1] += patches[:, :, 1:, 1:, 0]
        images[:, :-1, 1] += patches[:, 1:, 0, :, 1:]
        images[:, :-1, 1, :-1, 1] += patches[:, 1:, 0, 1:, 0]
        return images.flatten(3, 4).flatten(1, 2)[:, :height, :width].permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Patches.apply(*gradients), None  # type: ignore[no-untyped-call]


class StemConv(nn.Conv2d):
    """A convolution of few input channels, with a quick gradient in the images.

    With one input channel, the library's kernels for the gradient in the input, which the image
    loop needs, run far below the processor's speed. Where that gradient is wanted, a convolution
    with a stride works on pixels folded into channels (of stride 2: four times the channels and a
    quarter of the pixels), and one without on unfolded patches, as a matrix product.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Output (N, channels, H', W') for images (N, C, H, W)."""
        if not (images.requires_grad and torch.is_grad_enabled()):
            return super().forward(images)
        (size, _), (stride, _), padding = self.kernel_size, self.stride, int(self.padding[0])
        rows, columns = ((n + 2 * padding - size) // stride + 1 for n in images.shape[2:])
        if stride == 1:
            return self._by_patches(images, size, padding).reshape(len(images), -1, rows, columns)
        before = -(-padding // stride)  # in folded pixels
        lead = before * stride - padding
        taps = -(-(lead + size) // stride)
        weight = F.pad(self.weight, (lead, taps * stride - lead - size) * 2)
        pixels, kernel = (
            folded(each, stride).contiguous(memory_format=torch.channels_last)
            for each in (images, weight)
        )
        return F.conv2d(pixels, kernel, self.bias, padding=before)[:, :, :rows, :columns]

    def _by_patches(self, images: Tensor, size: int, padding: int) -> Tensor:
        """The same with stride 1, and output pixels in one row: (N, channels, H' W')."""
        # With one channel a tensor can count as channels-last, for which unfolding is 20 times
        # slower; a view of the flattened images never does.
        images = images.reshape(len(images), -1).view(images.shape)
        patches = F.unfold(images, size, padding=padding).transpose(1, 2)
        return F.linear(patches, self.weight.flatten(1), self.bias).transpose(1, 2)


def folded(x: Tensor, by: int) -> Tensor:
    """Each by × by pixels of (N, C, H, W) become channels; zeros fill up the sides."""
    height, width = x.shape[2:]
    padded = F.pad(x, (0, -width % by, 0, -height % by))
    if x.shape[0] == 0:  # an empty batch, which torch leaves as it is
        return padded.reshape(0, x.shape[1] * by**2, -(-height // by), -(-width // by))
    return F.pixel_unshuffle(padded, by)
