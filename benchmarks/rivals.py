"""Two generative models to compare a classifier that draws with: a VAE and a diffusion model.

Both are conditional on the class, and trained for a given wall time; at 0.4 million parameters a
little smaller than the `draw` network (0.7), which in minutes is no handicap. They share what makes
training quick on a processor: the data whole in memory, bfloat16 where the processor has it,
channels last, and pixels folded 2×2 into channels, so that no convolution works at full size.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel

from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.data.loading import Dataset, Split
from deceive.networks.inference import BATCH, evaluating
from deceive.networks.modules import device_of
from deceive.networks.precision import working_dtype

# Length of the vector that says what class an image is of, and how noisy it is or what it is like.
_CONDITION = 64

# How a rival is trained. The rate rises over the first twentieth and then falls by a cosine.
_BATCH, _LEARNING_RATE, _WEIGHT_DECAY, _WARM_UP = 128, 2e-3, 0.01, 0.05

# The average of the weights reaches back over a share of the training: its relative width is about
# 5%, whatever the length (power function, Karras et al. 2024, equation 2).
_POWER = 16


_Tensors = tuple[Tensor, ...] | list[Tensor]


class Rival(nn.Module, ABC):
    """A generative model of images (N, C, H, W) in [0, 1], given their classes (N,) int64."""

    def __init__(self, shape: Shape, n_classes: int) -> None:
        super().__init__()
        if shape[1] % 4 or shape[2] % 4:
            raise InputError(f"shape: expected sides that are multiples of 4, got {shape}")
        self.shape = shape
        self.label = nn.Embedding(n_classes, _CONDITION)

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
        self.told = nn.Linear(code_size, _CONDITION)
        self.decode_coarse = Block(2 * width, 2 * width)
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.decode_fine = Blocks(Block(width, width), Block(width, width))
        self.head = Head(width, channels)

    def encode(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the code, each (N, code_size)."""
        condition = F.silu(self.label(labels))
        x = self.stem(_folded(2 * images - 1))
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
        self.time = nn.Sequential(
            nn.Linear(2 * len(_FREQUENCIES), _CONDITION),
            nn.SiLU(),
            nn.Linear(_CONDITION, _CONDITION),
        )
        self.stem = nn.Conv2d(4 * shape[0], width, 3, padding=1)
        self.before = Blocks(Block(width, width), Block(width, width))
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.coarse = Blocks(*(Block(2 * width, 2 * width) for _ in range(3)))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.after = Blocks(Block(2 * width, width), Block(width, width))
        self.head = Head(width, shape[0])
        _zero(self.head.convolution)

    def velocity(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """V (N, C, H, W) of noisy images x of the same shape, at times t (N,) in [0, 1]."""
        waves = t[:, None] * _FREQUENCIES.to(t.device)
        condition = self.time(torch.cat([waves.sin(), waves.cos()], 1))
        condition = F.silu(condition + self.label(labels))
        fine = self.before(self.stem(_folded(x)), condition)
        coarse = self.coarse(self.down(fine), condition)
        x = torch.cat([F.pixel_shuffle(self.up(coarse), 2), fine], 1)
        v: Tensor = self.head(self.after(x, condition))
        return v

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


class Block(nn.Module):
    """Two convolutions with a shortcut; the second normalisation is scaled and shifted as told.

    The condition does that (FiLM, Perez et al. 2018; in diffusion, Dhariwal and Nichol 2021). The
    second convolution starts at zero, so that the block starts by changing nothing.
    """

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        # One group: with several, the processor's kernel takes longer than the convolution.
        self.norm1 = nn.GroupNorm(1, channels_in)
        self.convolution1 = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(1, channels)
        self.told = nn.Linear(_CONDITION, 2 * channels)
        self.convolution2 = nn.Conv2d(channels, channels, 3, padding=1)
        same = channels_in == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1)
        _zero(self.convolution2)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Maps (N, channels_in, h, w) and conditions (N, 64) to (N, channels, h, w)."""
        scale, shift = self.told(condition)[:, :, None, None].chunk(2, 1)
        inner = self.norm2(self.convolution1(F.silu(self.norm1(x))))
        inner = torch.addcmul(shift, inner, 1 + scale)
        out: Tensor = self.shortcut(x) + self.convolution2(F.silu(inner))
        return out


class Blocks(nn.ModuleList):
    """Blocks one after the other, all told the same."""

    def __init__(self, *blocks: Block) -> None:
        super().__init__(blocks)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Maps (N, channels, h, w) and conditions (N, 64) to what the last block gives."""
        for block in self:
            x = block(x, condition)
        return x


class Head(nn.Module):
    """The last convolution, and its output unfolded to pixels."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.convolution = nn.Conv2d(width, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (N, width, H / 2, W / 2) to (N, channels, H, W) float32."""
        return F.pixel_shuffle(self.convolution(F.silu(self.norm(x))), 2).float()


RIVALS: dict[str, type[Rival]] = {"VAE": Vae, "diffusion": Diffusion}


def build(name: str, data: Dataset, *, seed: int) -> Rival:
    """An untrained rival of that name in `RIVALS` for `data`, its weights drawn with `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rival = RIVALS[name](data.image_shape, data.n_classes)
    return rival.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Training(NamedTuple):
    """What a training took."""

    steps: int
    images: int
    """With repetition."""
    seconds: float


def train(
    rival: Rival,
    split: Split,
    seconds: float,
    *,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Training:
    """Train in place for so many seconds of wall time; what is left are the averaged weights.

    AdamW on batches of 128 images, each seen once an epoch in a random order. The learning rate
    follows the clock, and is at its end when the time is.
    """
    device = device_of(rival)
    dtype = working_dtype(device)
    generator = Generator(device).manual_seed(seed)
    parameters = list(rival.parameters())
    averaged = AveragedModel(rival, multi_avg_fn=_follow)
    optimiser = torch.optim.AdamW(
        parameters, _LEARNING_RATE, betas=(0.9, 0.99), weight_decay=_WEIGHT_DECAY, fused=True
    )
    order = torch.empty(0, dtype=torch.int64)
    rival.train()
    steps = images = 0
    started = clock()
    while (share := (clock() - started) / seconds) < 1:
        if not len(order):
            order = torch.randperm(len(split), generator=generator, device=device)
        batch, order = order[:_BATCH], order[_BATCH:]
        pixels = split.images[batch].contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, dtype != torch.float32):
            loss = rival.loss(pixels, split.labels[batch], generator)
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * _fall(share)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        steps += 1
        images += len(batch)
        averaged.update_parameters(rival)
    rival.load_state_dict(averaged.module.state_dict())
    rival.eval()
    return Training(steps, images, clock() - started)


def _follow(averages: _Tensors, values: _Tensors, count: Tensor | int) -> None:
    """Move averages of so many values, in place, towards the next."""
    share = 1 - (1 - 1 / (int(count) + 1)) ** (_POWER + 1)
    for average, value in zip(averages, values, strict=True):
        average.lerp_(value, share)


def _fall(share: float) -> float:
    """The learning rate, in [0, 1], after a share of the training."""
    return min(1, share / _WARM_UP) * (1 + math.cos(math.pi * share)) / 2


# Of the waves in which the diffusion model is told the time, in radians.
_FREQUENCIES = torch.logspace(0, math.log10(200), 16)


def _shares(t: Tensor) -> tuple[Tensor, Tensor]:
    """What is kept of the image at times t (N,), and what is added of the noise: (N, 1, 1, 1)."""
    angle = (t * math.pi / 2)[:, None, None, None]
    return angle.cos(), angle.sin()


def _folded(images: Tensor) -> Tensor:
    """(N, C, H, W) → (N, 4 C, H / 2, W / 2)."""
    return F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)


def _zero(layer: nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
