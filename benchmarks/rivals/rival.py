"""The interface of a rival."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from benchmarks.rivals.layers import CONDITION
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.data.dataset import Split
from deceive.networks.inference import BATCH, evaluating
from deceive.networks.modules import device_of
from deceive.networks.precision import working_dtype

Objective = Callable[[Tensor, Tensor], Tensor]
"""Images (N, C, H, W) in [0, 1] and their classes (N,) → what training makes small, a scalar.

It may carry something from batch to batch, such as a replay buffer."""


@dataclass(frozen=True)
class Recipe:
    """How AdamW trains a rival."""

    batch: int = 128
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    longest: float = 1.0
    """A longer gradient of the weights is scaled to this length."""
    diverged: float = float("inf")
    """A loss of more than this in size, or that is not finite, sends the training back."""


class Rival(nn.Module, ABC):
    """A generative model of images (N, C, H, W) in [0, 1], given their classes (N,) int64."""

    recipe: ClassVar[Recipe] = Recipe()

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
    def objective(self, split: Split, generator: Generator) -> Objective:
        """What one training on these images makes small; the generator draws its noise."""

    def reader(self) -> nn.Module | None:
        """Images (N, C, H, W) in [0, 1] → logits (N, classes), if it is a classifier too."""
        return None

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
