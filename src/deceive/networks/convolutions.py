"""Convolutions in forms that are quick on a processor; their weights are those of `nn.Conv2d`."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input, conv2d_weight


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
        given = (cast(Tensor, each).bfloat16() for each in (images, self.weight, self.bias))
        out: Tensor = _Halved.apply(*given)  # type: ignore[no-untyped-call]
        return out


class _Halved(torch.autograd.Function):
    """The convolution as a product of weights (O, 9 C) and patches (N H' W', 9 C)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        n, channels, *sides = images.shape
        rows, columns = (-(-side // 2) for side in sides)
        padded = F.pad(images.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).contiguous()
        each, row, column, _ = padded.stride()
        size = (n, rows, columns, 3, 3 * channels)  # three pixels beside each other lie in a row
        patches = padded.as_strided(size, (each, 2 * row, 2 * column, row, 1))
        patches = patches.reshape(n * rows * columns, 9 * channels)
        ctx.save_for_backward(images, weight, patches if ctx.needs_input_grad[1] else None)
        out = F.linear(patches, _flat(weight), bias)
        return out.view(n, rows, columns, -1).permute(0, 3, 1, 2)

    @staticmethod
    def backward(
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,), (images, weight, patches) = gradients, ctx.saved_tensors
        for_images, for_weight, for_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():  # second-order gradients are wanted
            of: Any = (gradient, (2, 2), (1, 1))
            return (
                conv2d_input(images.shape, weight, *of) if for_images else None,  # type: ignore[no-untyped-call]
                conv2d_weight(images, weight.shape, *of) if for_weight else None,  # type: ignore[no-untyped-call]
                gradient.sum((0, 2, 3)) if for_bias else None,
            )
        gradient = gradient.permute(0, 2, 3, 1)
        flat = gradient.reshape(-1, gradient.shape[3])
        return (
            _spread(flat @ _flat(weight), images.shape) if for_images else None,
            (flat.T @ patches).view_as(weight.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            if for_weight
            else None,
            flat.sum(0) if for_bias else None,
        )


def _flat(weight: Tensor) -> Tensor:
    """A kernel (O, C, 3, 3) as a matrix (O, 9 C), in the order of the patches."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _spread(patches: Tensor, shape: torch.Size) -> Tensor:
    """Add up patches (N H' W', 9 C) where they come from, in images (N, C, H, W)."""
    n, channels, height, width = shape
    rows, columns = -(-height // 2), -(-width // 2)
    patches = patches.view(n, rows, columns, 3, 3, channels)
    padded = patches.new_zeros(n, 2 * rows + 1, 2 * columns + 1, channels)
    for i in range(3):
        for j in range(3):
            place = padded[:, i : i + 2 * rows : 2, j : j + 2 * columns : 2]
            first = i < 2 and j < 2  # contribution to these pixels
            (place.copy_ if first else place.add_)(patches[:, :, :, i, j])
    return padded[:, 1 : 1 + height, 1 : 1 + width].permute(0, 3, 1, 2)


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
    return F.pixel_unshuffle(F.pad(x, (0, -width % by, 0, -height % by)), by)
