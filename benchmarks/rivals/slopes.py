"""The gradient of a network in its input, which moves images."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deceive.networks.modules import device_of
from deceive.networks.precision import working_dtype


class Slopes:
    """A copy of a network in the quickest type, whose weights need no gradient."""

    def __init__(self, network: nn.Module) -> None:
        self.dtype = working_dtype(device_of(network))
        self.copied = copy.deepcopy(network).to(self.dtype).requires_grad_(False).eval()

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Take over the network's weights."""
        for own, its in zip(self.copied.parameters(), network.parameters(), strict=True):
            own.copy_(its)

    @torch.enable_grad()
    def of(self, values: Callable[[Any, Tensor], Tensor], x: Tensor) -> Tensor:
        """The gradient, float32, in images x (N, C, H, W) of what each is worth.

        `values` gets the copy and x, and gives (N,); an image's own must depend on it alone.
        """
        x = x.detach().to(self.dtype).requires_grad_()
        with torch.autocast(x.device.type, enabled=False):
            total = values(self.copied, x).sum()
        (gradient,) = torch.autograd.grad(total, x)
        return gradient.float()
