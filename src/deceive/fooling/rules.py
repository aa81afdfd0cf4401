"""Step rules: how far each pixel moves along the gradient, and which way.

A rule works image by image. What it remembers of an image's earlier steps is its state, a stack of
images that begins as zeros. The image loop keeps the state, and sets it to zero where a bound holds
a pixel back. Directions are in units of the step size.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Steps of an image without success grow: after PATIENCE of them they are twice as long as at first,
# after 2 × PATIENCE three times as long, and so on until GROWING steps.
PATIENCE, GROWING = 10, 30

# Adam's β₂: how long it remembers the size of gradients. Images settle within dozens of steps.
# Networks take thousands, and use 0.999.
_SECOND_MOMENT = 0.9

# A step towards a goal is 1 to MOST step sizes long. It aims BEYOND times as far as the gradient
# says, since the score rises by less than that (docs/laboratory/image-loop.md).
MOST, BEYOND = 20, 2

# Keeps a gradient of nothing but zeros at zero when it is divided by its size.
_TINY = torch.finfo(torch.float32).tiny


class Move(NamedTuple):
    """One step of N images: each moves by `reach` × step size × `direction`."""

    reach: Tensor
    """(N,), 1 where steps don't grow."""
    direction: Tensor
    """(N, C, H, W), about 1 a pixel on average."""
    state: Tensor
    """(N, memory, C, H, W), what the rule gets again at the next step."""


class Rule(NamedTuple):
    """How steps are taken."""

    memory: int
    """Number of images in the state of each image."""
    move: Callable[[Tensor, Tensor, Tensor, float, Tensor | None], Move]
    """(gradient (N, C, H, W), state (N, memory, C, H, W), steps taken (N,), momentum, what the
    score lacks of its goal (N,)) → `Move`; it may change the first two in place. The gradient is
    that of the score, per step size; there may be no goal."""
    aims: bool = False
    """Whether it needs a goal."""


def momentum(
    gradient: Tensor, state: Tensor, taken: Tensor, momentum: float, _lacking: Tensor | None = None
) -> Move:
    """Steps along v ← momentum · v + g / mean|g|, that grow and then fall: r(t) · v after t steps.

    r = 1 + t / 10 up to t = 30, and from there 4 √(30 / t). Dong et al. 2018 before their sign.
    Pixels that matter more move further. Images that resist are pushed harder, and those that
    still do may need smaller steps (docs/laboratory/image-loop.md).

    >>> gradient, state = torch.tensor([[[[1.0, -3.0]]]]), torch.zeros(1, 1, 1, 1, 2)
    >>> reach, direction, _ = momentum(gradient, state, torch.tensor([20]), 0.5)
    >>> reach.tolist(), direction.flatten().tolist()
    ([3.0], [0.5, -1.5])
    """
    velocity, taken = _accumulated(gradient, state, momentum), taken.float()
    grown = 1 + taken.clamp_max(GROWING) / PATIENCE
    return Move(grown * (GROWING / taken.clamp_min(GROWING)).sqrt(), velocity, state)


def sign(
    gradient: Tensor, state: Tensor, taken: Tensor, momentum: float, _lacking: Tensor | None = None
) -> Move:
    """The sign of the same v, in steps of one size (MI-FGSM, Dong et al. 2018, algorithm 1).

    Every pixel moves as far as any other. Without momentum it is the basic iterative method
    (Kurakin et al. 2017) without a limit.

    >>> gradient, state = torch.tensor([[[[1.0, -3.0]]]]), torch.zeros(1, 1, 1, 1, 2)
    >>> sign(gradient, state, torch.tensor([20]), 0.5).direction.flatten().tolist()
    [1.0, -1.0]
    """
    velocity = _accumulated(gradient, state, momentum)
    return Move(torch.ones_like(taken, dtype=velocity.dtype), velocity.sign(), state)


def normalised(
    gradient: Tensor, state: Tensor, taken: Tensor, momentum: float, _lacking: Tensor | None = None
) -> Move:
    """Steps along the same v, over its root mean square: all of one length.

    As the sign, but what matters less moves less, so grey stays grey (docs/laboratory/fashion.md).
    The steps of the attacks that are limited by the Euclidean norm (Madry et al. 2018).

    >>> gradient, state = torch.tensor([[[[1.0, -7.0]]]]), torch.zeros(1, 1, 1, 1, 2)
    >>> direction = normalised(gradient, state, torch.tensor([20]), 0.5).direction
    >>> [round(value, 3) for value in direction.flatten().tolist()]
    [0.2, -1.4]
    """
    velocity = _accumulated(gradient, state, momentum)
    size = velocity.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(_TINY)
    return Move(torch.ones_like(taken, dtype=velocity.dtype), velocity / size, state)


def adam(
    gradient: Tensor, state: Tensor, taken: Tensor, momentum: float, _lacking: Tensor | None = None
) -> Move:
    """Adam (Kingma and Ba 2015, algorithm 1) with β₁ = momentum and β₂ = 0.9, in steps of one size.

    Each pixel's gradient is divided by its recent size.

    >>> gradient, state = torch.tensor([[[[1.0, -3.0]]]]), torch.zeros(1, 2, 1, 1, 2)
    >>> direction = adam(gradient, state, torch.tensor([0]), 0.5).direction
    >>> direction.flatten().round(decimals=3).tolist()  # a first step is the sign
    [1.0, -1.0]
    """
    first, second = state.unbind(1)
    first.mul_(momentum).add_(gradient, alpha=1 - momentum)
    second.mul_(_SECOND_MOMENT).addcmul_(gradient, gradient, value=1 - _SECOND_MOMENT)
    steps = (taken + 1).float().view(-1, 1, 1, 1)
    mean = first / (1 - momentum**steps)
    size = (second / (1 - _SECOND_MOMENT**steps)).sqrt_().clamp_min_(_TINY)
    return Move(torch.ones_like(taken, dtype=mean.dtype), mean.div_(size), state)


def polyak(
    gradient: Tensor, state: Tensor, _taken: Tensor, momentum: float, lacking: Tensor | None = None
) -> Move:
    """Steps along the same v, as long as the score's goal asks for: Polyak's step size (1987).

    If the score were linear, moving by α · v would raise it by α ⟨g, v⟩, and α = lacking / ⟨g, v⟩
    would reach the goal (without momentum, the step of DeepFool, Moosavi-Dezfooli et al. 2016).
    Steps are twice as long, since scores rise by less, but at least 1 and at most 20 step sizes.

    >>> gradient, state = torch.tensor([[[[1.0, -3.0]]]]), torch.zeros(1, 1, 1, 1, 2)
    >>> reach, direction, _ = polyak(gradient, state, torch.tensor([0]), 0.5, torch.tensor([10.0]))
    >>> direction.flatten().tolist(), reach.item()  # 2 · 10 / (1 · 0.5 + 3 · 1.5)
    ([0.5, -1.5], 4.0)
    """
    if lacking is None:
        raise ValueError("lacking: expected what the score lacks of its goal, got None")
    size = gradient.abs().mean((1, 2, 3))
    velocity = _accumulated(gradient, state, momentum)
    rise = size * gradient.mul_(velocity).sum((1, 2, 3))
    # Where v leads down, as little as possible.
    reach = torch.where(rise > 0, BEYOND * lacking / rise, 0).clamp(1, MOST)
    return Move(reach, velocity, state)


RULES: dict[str, Rule] = {
    "momentum": Rule(1, momentum),
    "sign": Rule(1, sign),
    "adam": Rule(2, adam),
    "normalised": Rule(1, normalised),
    "polyak": Rule(1, polyak, aims=True),
}
"""By name."""

AIMLESS = tuple(name for name, rule in RULES.items() if not rule.aims)
"""Those that need no goal."""

IN_TURN = ("momentum", "sign", "adam")
"""Those that a network learns to resist, in turn."""


def _accumulated(gradient: Tensor, state: Tensor, momentum: float) -> Tensor:
    """The velocity (N, C, H, W), a view of the state, after this gradient."""
    gradient /= gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min(_TINY)
    velocity: Tensor = state[:, 0].mul_(momentum).add_(gradient)
    return velocity
