"""Where the chains of an energy-based model begin."""

import math

import torch
from torch import Generator, Tensor, nn

from deceive.common.levels import Shape
from deceive.data.dataset import Split

# Added to the variance of every pixel, so that the covariance of a few images has a root.
_LEAST = 1e-3


class Gaussians(nn.Module):
    """A gaussian of each class, with the mean and the covariance of its images in [−1, 1].

    JEM++ begins its chains there (Yang and Ji 2021). Before `fit`: mean 0, variance 1.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, shape: Shape, n_classes: int) -> None:
        super().__init__()
        self.shape = shape
        pixels = math.prod(shape)
        self.register_buffer("mean", torch.zeros(n_classes, pixels))
        self.register_buffer("factor", torch.eye(pixels).repeat(n_classes, 1, 1))

    def fit(self, split: Split) -> None:
        """Take the mean and the covariance of each class's images."""
        for label in range(len(self.mean)):
            x = 2 * split.images[split.labels == label].flatten(1) - 1
            self.mean[label] = x.mean(0)
            covariance = torch.cov(x.T) + _LEAST * torch.eye(x.shape[1], device=x.device)
            self.factor[label] = torch.linalg.cholesky(covariance)

    def draw(self, labels: Tensor, generator: Generator) -> Tensor:
        """Images (N, C, H, W) float32, cut off at −1 and 1, of the classes (N,)."""
        shape = (len(labels), self.mean.shape[1])
        x = torch.randn(shape, generator=generator, device=labels.device)
        with torch.autocast(x.device.type, enabled=False):
            for label in labels.unique():
                own = labels == label
                x[own] = x[own] @ self.factor[label].T + self.mean[label]
        return x.view(-1, *self.shape).clamp(-1, 1)
