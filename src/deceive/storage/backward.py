"""Gradients of layers in their input, as plain operators that ONNX has too."""

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
) -> tuple[Tensor | None, None, None]:
    """The gradient of a convolution in its input: a transposed convolution, and vice versa.

    Weights and biases are constants here and need no gradient.
    """
    if output_mask[1] or output_mask[2]:
        raise InputError("network: expected frozen weights in its convolutions, got trained ones")
    if not output_mask[0]:
        return None, None, None
    convolution = torch.ops.aten.convolution
    if transposed:
        none = [0] * len(stride)
        back = convolution(
            grad_output, weight, None, stride, padding, dilation, False, none, groups
        )
        return back, None, None
    # Rows and columns at the far edge that no step of the stride reaches; their gradient is zero.
    spare = [
        images.shape[2 + k]
        + 2 * padding[k]
        - dilation[k] * (weight.shape[2 + k] - 1)
        - 1
        - stride[k] * (grad_output.shape[2 + k] - 1)
        for k in range(len(stride))
    ]
    back = convolution(grad_output, weight, None, stride, padding, dilation, True, spare, groups)
    return back, None, None


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
