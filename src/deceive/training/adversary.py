"""Adversarial training: images moved to where the loss is great (Madry et al. 2018)."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from deceive.training.settings import TrainingSettings

# Keeps an all-zero gradient at zero when it is divided by its length.
_TINY = torch.finfo(torch.float32).tiny


def attacked(
    images: Tensor,
    labels: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    settings: TrainingSettings,
    generator: Generator,
) -> Tensor:
    """The images moved up the loss, each pixel still in [0, 1].

    Projected gradient ascent from a random place: along the gradient's sign if the radius is of
    pixels, along the gradient over its length if it is of images.

    Args:
        images: (N, C, H, W) in [0, 1].
        labels: (N,) int64.
        loss_of: images and labels to a scalar, differentiable in the images.
        settings: the adversary's radius, norm and steps; each pixel, or each image, stays within
            the radius of where it was.
        generator: draws the random place.
    """
    radius, steps = settings.adversarial_radius, settings.adversarial_steps
    of_pixels = settings.adversarial_norm == "pixel"

    def within(x: Tensor) -> Tensor:
        if of_pixels:
            return x.clamp(images - radius, images + radius).clamp(0, 1)
        moved = x - images
        return (images + moved * (radius / _length(moved).clamp_min(radius))).clamp(0, 1)

    if of_pixels:
        low, high = within(images - radius), within(images + radius)
        x = low + (high - low) * torch.rand(images.shape, generator=generator).to(images.device)
    else:
        away = torch.randn(images.shape, generator=generator).to(images.device)
        x = within(images + 0.3 * radius * away / math.sqrt(images[0].numel()))
    for _ in range(steps):
        (gradient,) = torch.autograd.grad(loss_of(x.requires_grad_(), labels), x)
        if of_pixels:
            step = radius / 2 * gradient.sign()
        else:
            step = 1.5 * radius / steps * gradient / _length(gradient).clamp_min(_TINY)
        x = within(x.detach() + step)
    return x


def _length(images: Tensor) -> Tensor:
    """The Euclidean length of each image: (N, C, H, W) → (N, 1, 1, 1)."""
    length: Tensor = images.flatten(1).norm(dim=1)
    return length[:, None, None, None]
