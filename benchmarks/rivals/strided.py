"""The network of both rivals that draw by a gradient."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.rivals.layers import CONDITION, folded
from deceive.common.levels import Shape


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
