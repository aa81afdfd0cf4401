"""How an image climbs: where its gradient is asked for, how far each pixel moves, and which way.

A rule works image by image. What it remembers of an image's earlier steps is its state, a stack of
images that is all zeros at first; the image loop keeps it, and sets it to zero where a bound holds
a pixel back. Directions are taken in units of the step size.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# After so many steps without success an image's steps are twice as long as at first, and so on,
# until it has taken so many of them.
PATIENCE, GROWING = 10, 30

# How long Adam remembers the size of gradients. Images settle within dozens of steps, networks
# within thousands: for those it is 0.999.
_SECOND_MOMENT = 0.9

# Keeps a gradient of nothing but zeros at zero when it is divided by its size.
_TINY = torch.finfo(torch.float32).tiny


class Move(NamedTuple):
    """One step of N images: each goes `reach` × step size × `direction`."""

    reach: Tensor
    """(N,), 1 where steps don't grow."""
    direction: Tensor
    """(N, C, H, W), about 1 a pixel on average."""
    state: Tensor
    """(N, memory, C, H, W), what the rule wants to see again at the next step."""


class Rule(NamedTuple):
    """How steps are taken."""

    memory: int
    """How many images its state holds for each one."""
    move: Callable[[Tensor, Tensor, Tensor, float], Move]
    """(gradient (N, C, H, W), state (N, memory, C, H, W), steps taken (N,), momentum) → `Move`;
    it may change the first two in place."""


def momentum(gradient: Tensor, state: Tensor, taken: Tensor, momentum: float) -> Move:
    """Steps along v ← momentum · v + g / mean|g|, that grow and then fall: r(t) · v after t steps.

    r = 1 + t / 10 up to t = 30, and from there 4 √(30 / t). Dong et al. 2018 before their sign.
    Pixels that matter more move further; images that resist are pushed harder, and those that
    still do may need a light touch (docs/image-loop.md).
    """
    velocity, taken = _accumulated(gradient, state, momentum), taken.float()
    grown = 1 + taken.clamp_max(GROWING) / PATIENCE
    return Move(grown * (GROWING / taken.clamp_min(GROWING)).sqrt(), velocity, state)


def sign(gradient: Tensor, state: Tensor, taken: Tensor, momentum: float) -> Move:
    """The sign of the same v, in steps of one size (MI-FGSM, Dong et al. 2018, algorithm 1).

    Every pixel moves as far as any other. Without momentum it is the basic iterative method
    (Kurakin et al. 2017) without a limit.
    """
    velocity = _accumulated(gradient, state, momentum)
    return Move(torch.ones_like(taken, dtype=velocity.dtype), velocity.sign(), state)


def adam(gradient: Tensor, state: Tensor, taken: Tensor, momentum: float) -> Move:
    """Adam (Kingma and Ba 2015, algorithm 1) with β₁ = momentum and β₂ = 0.9, in steps of one size.

    Each pixel's gradient is divided by how great it has been of late.
    """
    first, second = state.unbind(1)
    first.mul_(momentum).add_(gradient, alpha=1 - momentum)
    second.mul_(_SECOND_MOMENT).addcmul_(gradient, gradient, value=1 - _SECOND_MOMENT)
    steps = (taken + 1).float().view(-1, 1, 1, 1)
    mean = first / (1 - momentum**steps)
    size = (second / (1 - _SECOND_MOMENT**steps)).sqrt_().clamp_min_(_TINY)
    return Move(torch.ones_like(taken, dtype=mean.dtype), mean.div_(size), state)


RULES: dict[str, Rule] = {
    "momentum": Rule(1, momentum),
    "sign": Rule(1, sign),
    "adam": Rule(2, adam),
}


def _accumulated(gradient: Tensor, state: Tensor, momentum: float) -> Tensor:
    """The velocity (N, C, H, W), a view of the state, after this gradient."""
    gradient /= gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min(_TINY)
    velocity: Tensor = state[:, 0].mul_(momentum).add_(gradient)
    return velocity
