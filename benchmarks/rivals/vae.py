"""The variational autoencoder."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from benchmarks.rivals.layers import CONDITION, Block, Blocks, Head, folded
from benchmarks.rivals.rival import Objective, Rival
from deceive.common.levels import Shape
from deceive.data.dataset import Split


class Vae(Rival):
    """Class-conditional variational autoencoder (Kingma, Welling 2014; Sohn et al. 2015).

    Pixels are shades between black and white, read as probabilities, and the bound on the
    likelihood is taken as it is. A sample is the mean that is decoded from a code drawn from the
    prior. 418,000 parameters for MNIST.
    """

    def __init__(
        self, shape: Shape, n_classes: int, *, width: int = 32, code_size: int = 16
    ) -> None:
        super().__init__(shape, n_classes)
        channels, height, columns = shape
        self.code_size = code_size
        self.inner = (2 * width, height // 4, columns // 4)
        flat = math.prod(self.inner)
        self.stem = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.encode_fine = Block(width, width)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.encode_coarse = Block(2 * width, 2 * width)
        self.to_code = nn.Linear(flat, 2 * code_size)
        self.from_code = nn.Linear(code_size, flat)
        self.told = nn.Linear(code_size, CONDITION)
        self.decode_coarse = Block(2 * width, 2 * width)
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.decode_fine = Blocks(Block(width, width), Block(width, width))
        self.head = Head(width, channels)

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the code, each (N, code_size)."""
        condition = F.silu(self.label(labels))
        x = self.stem(folded(2 * images - 1))
        x = self.down(self.encode_fine(x, condition))
        x = F.silu(self.encode_coarse(x, condition))
        mean, log_variance = self.to_code(x.flatten(1)).float().chunk(2, 1)
        return mean, log_variance

    def decode(self, code: Tensor, labels: Tensor) -> Tensor:
        """Logits (N, C, H, W) of the pixels, from codes (N, code_size)."""
        condition = F.silu(self.label(labels) + self.told(code))
        x = self.from_code(code).view(-1, *self.inner).contiguous(memory_format=torch.channels_last)
        x = F.pixel_shuffle(self.up(self.decode_coarse(x, condition)), 2)
        logits: Tensor = self.head(self.decode_fine(x, condition))
        return logits

    def objective(self, split: Split, generator: Generator) -> Objective:
        """The loss, with this generator."""
        return partial(self.loss, generator=generator)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        """The negative evidence lower bound, in nats a pixel."""
        mean, log_variance = self.encode(images, labels)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        logits = self.decode(mean + (log_variance / 2).exp() * noise, labels)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        return F.binary_cross_entropy_with_logits(logits, images) + divergence / images.numel()

    def _sample(self, labels: Tensor, generator: Generator) -> Tensor:
        shape = (len(labels), self.code_size)
        code = torch.randn(shape, generator=generator, device=generator.device)
        return self.decode(code, labels).sigmoid()
