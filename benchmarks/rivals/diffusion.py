"""The diffusion model."""

import math
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from benchmarks.rivals.layers import Block, Blocks, Head, Time, folded, zeroed
from benchmarks.rivals.rival import Objective, Rival
from deceive.common.levels import Shape
from deceive.data.dataset import Split


class Diffusion(Rival):
    """Class-conditional diffusion model (Ho et al. 2020) with a U-Net of two resolutions.

    At time t in [0, 1] an image is x_t = cos(πt/2) x + sin(πt/2) ε (cosine schedule, Nichol and
    Dhariwal 2021), and the network says the velocity v = cos(πt/2) ε − sin(πt/2) x (Salimans and
    Ho 2022). It is sampled without fresh noise (DDIM, Song et al. 2021). 386,000 parameters for
    MNIST.
    """

    def __init__(self, shape: Shape, n_classes: int, *, width: int = 32, steps: int = 50) -> None:
        super().__init__(shape, n_classes)
        self.steps = steps
        self.time = Time()
        self.stem = nn.Conv2d(4 * shape[0], width, 3, padding=1)
        self.before = Blocks(Block(width, width), Block(width, width))
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.coarse = Blocks(*(Block(2 * width, 2 * width) for _ in range(3)))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.after = Blocks(Block(2 * width, width), Block(width, width))
        self.head = Head(width, shape[0])
        zeroed(self.head.convolution)

    def velocity(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """V (N, C, H, W) of noisy images x of the same shape, at times t (N,) in [0, 1]."""
        condition = F.silu(self.time(t) + self.label(labels))
        fine = self.before(self.stem(folded(x)), condition)
        coarse = self.coarse(self.down(fine), condition)
        x = torch.cat([F.pixel_shuffle(self.up(coarse), 2), fine], 1)
        v: Tensor = self.head(self.after(x, condition))
        return v

    def objective(self, split: Split, generator: Generator) -> Objective:
        """The loss, with this generator."""
        return partial(self.loss, generator=generator)

    def loss(self, images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        """Mean squared error of the velocity, with times spread evenly over the batch."""
        n = len(images)
        offset = torch.rand((), generator=generator, device=generator.device)
        t = (offset + torch.arange(n, device=images.device) / n) % 1  # Kingma et al. 2021
        kept, added = _shares(t)
        noise = self._noise(n, generator)
        x = 2 * images - 1
        v = self.velocity(kept * x + added * noise, t, labels)
        return F.mse_loss(v, kept * noise - added * x)

    def _sample(self, labels: Tensor, generator: Generator) -> Tensor:
        x = self._noise(len(labels), generator)
        times = torch.linspace(1, 0, self.steps + 1, device=x.device)[:, None].expand(-1, len(x))
        for now, then in pairwise(times):
            kept, added = _shares(now)
            clean = (kept * x - added * self.velocity(x, now, labels)).clamp(-1, 1)
            noise = (x - kept * clean) / added
            kept, added = _shares(then)
            x = kept * clean + added * noise
        return ((x + 1) / 2).clamp(0, 1)


def _shares(t: Tensor) -> tuple[Tensor, Tensor]:
    """The factors of the image and of the noise at times t (N,), each (N, 1, 1, 1)."""
    angle = (t * math.pi / 2)[:, None, None, None]
    return angle.cos(), angle.sin()
