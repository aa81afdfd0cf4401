"""The network of both rivals that draw by a gradient."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.rivals.layers import CONDITION, folded
from deceive.common.levels import Shape
from deceive.networks.bodies import StridedBody


class Strided(StridedBody):
    """The convolutions of the `draw` network, down to a few outputs an image.

    Nothing is normalised. If there is a condition, it scales and shifts what each layer gives.
    """

    def __init__(
        self, shape: Shape, outputs: int, activation: Callable[[Tensor], Tensor], *, told: bool
    ) -> None:
        super().__init__(shape)
        self.activation = activation
        self.told = nn.Linear(CONDITION, 2 * sum(self.widths)) if told else None
        self.head = nn.Linear(self.widths[-1], outputs)

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
