"""What the rivals are built of."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Length of the vector that says what class an image is of, and how noisy it is or what it is like.
CONDITION = 64

# The waves in which a network is told the time, in radians.
_FREQUENCIES = torch.logspace(0, math.log10(200), 16)


class Time(nn.Sequential):
    """Times (N,) in [0, 1] → conditions (N, 64)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(2 * len(_FREQUENCIES), CONDITION),
            nn.SiLU(),
            nn.Linear(CONDITION, CONDITION),
        )

    def forward(self, t: Tensor) -> Tensor:
        """What the blocks are told of times t (N,)."""
        waves = t[:, None] * _FREQUENCIES.to(t.device)
        told: Tensor = super().forward(torch.cat([waves.sin(), waves.cos()], 1))
        return told


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
        self.told = nn.Linear(CONDITION, 2 * channels)
        self.convolution2 = nn.Conv2d(channels, channels, 3, padding=1)
        same = channels_in == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels_in, channels, 1)
        zeroed(self.convolution2)

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


def folded(images: Tensor) -> Tensor:
    """(N, C, H, W) → (N, 4 C, H / 2, W / 2)."""
    return F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)


def zeroed(layer: nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
