"""Gradients of layers, as plain operators that ONNX has too."""

import torch
from torch import Tensor

from deceive.common.errors import InputError


def convolution_backward(
    grad_output: Tensor,
    images: Tensor,
    weight: Tensor,
    bias_sizes: list[int] | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    output_mask: list[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradients of a convolution in its input, its weights and its bias, where asked for."""
    images_wanted, weight_wanted, bias_wanted = output_mask
    if weight_wanted and transposed:
        raise InputError("network: expected no transposed convolutions to teach, got one")
    of_images = of_weight = None
    if images_wanted:
        size = list(images.shape[2:])
        geometry = (stride, padding, dilation, groups)
        of_images = (
            _untransposed(grad_output, weight, *geometry)
            if transposed
            else _in_input(grad_output, size, weight, *geometry)
        )
    if weight_wanted:
        of_weight = _in_weight(grad_output, images, weight, stride, padding, dilation, groups)
    return of_images, of_weight, grad_output.sum((0, 2, 3)) if bias_wanted else None


def _untransposed(
    grad_output: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """The gradient of a transposed convolution in its input: a convolution."""
    none = [0] * len(stride)
    back: Tensor = torch.ops.aten.convolution(
        grad_output, weight, None, stride, padding, dilation, False, none, groups
    )
    return back


def _in_input(
    grad_output: Tensor,
    size: list[int],
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """The gradient of a convolution in its input: a transposed convolution."""
    # Rows and columns at the far edge that no step of the stride reaches; their gradient is zero.
    spare = [
        size[k]
        + 2 * padding[k]
        - dilation[k] * (weight.shape[2 + k] - 1)
        - 1
        - stride[k] * (grad_output.shape[2 + k] - 1)
        for k in range(len(stride))
    ]
    back: Tensor = torch.ops.aten.convolution(
        grad_output, weight, None, stride, padding, dilation, True, spare, groups
    )
    return back


def _in_weight(
    grad_output: Tensor,
    images: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """The gradient of a convolution in its weights: a convolution over the whole batch.

    Images and channels change places, and the gradient of the output is the kernel. Steps of the
    stride are then gaps in the kernel, and the other way round.
    """
    channels, *kernel = weight.shape[1:]
    n, _, *size = images.shape
    seen = images.view(n, groups, channels, *size).permute(2, 1, 0, 3, 4).contiguous()
    back: Tensor = torch.ops.aten.convolution(
        seen.view(channels, -1, *size),
        grad_output.transpose(0, 1).contiguous(),
        None,
        dilation,
        padding,
        stride,
        False,
        [0] * len(stride),
        groups,
    )
    return back[:, :, : kernel[0], : kernel[1]].transpose(0, 1).contiguous()


def max_pool2d_backward(
    grad_output: Tensor,
    images: Tensor,
    kernel_size: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    ceil_mode: bool,
    indices: Tensor,
) -> Tensor:
    """The gradient of max-pooling: each window's goes to the pixel that won it."""
    flat = torch.zeros_like(images).flatten(2)
    return flat.scatter_add(2, indices.flatten(2), grad_output.flatten(2)).view(images.shape)
