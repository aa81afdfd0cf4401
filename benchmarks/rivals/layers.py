"""What the rivals are built of."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.common.levels import Shape

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


class Strided(nn.Module):
    """Strided convolutions down to a few outputs an image: as wide as those of the `draw` network.

    Nothing is normalised. If there is a condition, it scales and shifts what each layer gives.
    """

    def __init__(
        self,
        shape: Shape,
        outputs: int,
        activation: Callable[[Tensor], Tensor],
        *,
        told: bool,
        widths: tuple[int, ...] = (80, 160, 160),
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.activation = activation
        channels, height, columns = 4 * shape[0], shape[1] // 2, shape[2] // 2
        convolutions = []
        for width in widths:
            # Where a side is one pixel there is nothing left to convolve.
            if min(height, columns) > 1:
                convolutions.append(nn.Conv2d(channels, width, 3, stride=2, padding=1))
                channels, height, columns = width, -(-height // 2), -(-columns // 2)
        self.convolutions = nn.ModuleList(convolutions)
        self.linear = nn.Linear(channels * height * columns, hidden)
        self.widths = [*(layer.out_channels for layer in convolutions), hidden]
        self.told = nn.Linear(CONDITION, 2 * sum(self.widths)) if told else None
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Maps images (N, C, H, W), and conditions (N, 64), to (N, outputs)."""
        told: tuple[Tensor, ...] = ()
        if self.told is not None:
            told = self.told(condition).split([2 * width for width in self.widths], 1)
        x = folded(x)
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if told:
                scale, shift = told[number][:, :, None, None].chunk(2, 1)
                x = torch.addcmul(shift, x, 1 + scale)
            x = self.activation(x)
        x = self.linear(x.flatten(1))
        if told:
            scale, shift = told[-1].chunk(2, 1)
            x = torch.addcmul(shift, x, 1 + scale)
        out: Tensor = self.head(self.activation(x))
        return out


def folded(images: Tensor) -> Tensor:
    """(N, C, H, W) → (N, 4 C, H / 2, W / 2)."""
    return F.pixel_unshuffle(images, 2).contiguous(memory_format=torch.channels_last)


def zeroed(layer: nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
