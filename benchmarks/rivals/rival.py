"""The interface of a rival."""

from abc import ABC, abstractmethod

import torch
from torch import Generator, Tensor, nn

from benchmarks.rivals.layers import CONDITION
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.networks.inference import BATCH, evaluating
from deceive.networks.modules import device_of
from deceive.networks.precision import working_dtype


class Rival(nn.Module, ABC):
    """A generative model of images (N, C, H, W) in [0, 1], given their classes (N,) int64."""

    def __init__(self, shape: Shape, n_classes: int) -> None:
        super().__init__()
        if shape[1] % 4 or shape[2] % 4:
            raise InputError(f"shape: expected sides that are multiples of 4, got {shape}")
        self.shape = shape
        self.label = nn.Embedding(n_classes, CONDITION)

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return sum(parameter.numel() for parameter in self.parameters())

    @abstractmethod
    def loss(self, images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        """What training makes small, a scalar; the generator draws its noise."""

    def sample(self, labels: Tensor, *, seed: int) -> Tensor:
        """Images (N, C, H, W) float32 in [0, 1] of the classes (N,), drawn with `seed`.

        The model is put into evaluation mode meanwhile, and works in the quickest type.
        """
        device = device_of(self)
        dtype = working_dtype(device)
        generator = Generator(device).manual_seed(seed)
        lower = torch.autocast(device.type, dtype, dtype != torch.float32)
        with evaluating(self), torch.no_grad(), lower:
            parts = [self._sample(part, generator) for part in labels.to(device).split(BATCH)]
        return torch.cat(parts).cpu()

    @abstractmethod
    def _sample(self, labels: Tensor, generator: Generator) -> Tensor:
        """One batch of `sample`."""

    def _noise(self, count: int, generator: Generator) -> Tensor:
        return torch.randn(count, *self.shape, generator=generator, device=generator.device)
