"""How an image climbs: where its gradient is asked for, how far each pixel moves, and which way.

A rule works image by image. What it remembers of an image's earlier steps is its state, a stack of
images that is all zeros at first; the image loop keeps it, and sets it to zero where a bound holds
a pixel back. Directions are taken in units of the step size.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from deceive.common import checks

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


class Ascent(BaseModel):
    """How images climb: the rule of a step, its size, and the noise in which they are seen.

    Without a schedule every step has the same size and noise. With one, over `schedule` steps, both
    fall: the step size evenly to nothing, and the noise to its least by a power. That is how digits
    are drawn: what is large is settled first, in noise that hides all else (Song and Ermon 2019).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rule: Literal["momentum", "sign", "adam"] = "momentum"
    """A name from `RULES`."""
    step_size: float = Field(default=0.01, gt=0, le=checks.GREATEST)
    """How far pixels move on average in the first step, as a share of the bounds' width."""
    momentum: float = Field(default=0.5, ge=0, lt=1)
    """How much of its last step an image takes again."""
    noise: float = Field(default=0, ge=0, le=checks.GREATEST)
    """Standard deviation, as a share of the bounds' width, of gaussian noise that is added to an
    image where its gradient is asked for, drawn anew at every step (Smilkov et al. 2017). What is
    reported of an image is always without it."""
    least_noise: float = Field(default=0, ge=0, le=checks.GREATEST)
    """What the noise falls to under a schedule."""
    noise_power: float = Field(default=1, gt=0, le=checks.GREATEST)
    """Above 1 the noise falls quickly at first, and spends more steps near its least."""
    schedule: int | None = Field(default=None, ge=1, lt=checks.MOST)
    """Over how many steps noise and step size fall."""
    hold: float | None = Field(default=None, gt=0, lt=1)
    """The confidence, in noise, at which an image stays where it is for this step: at the boundary
    it has nothing more to teach."""

    def noise_after(self, taken: Tensor) -> Tensor:
        """The noise's standard deviation (N,) after so many steps (N,), in shares of the width."""
        return self.least_noise + (self.noise - self.least_noise) * self._left(taken).pow(
            self.noise_power
        )

    def size_after(self, taken: Tensor) -> Tensor:
        """The step size (N,) after so many steps (N,), before the rule has its say."""
        return self.step_size * self._left(taken)

    def _left(self, taken: Tensor) -> Tensor:
        """The share of the schedule that is still to come, in [0, 1]; 1 where there is none."""
        if self.schedule is None:
            return torch.ones_like(taken, dtype=torch.float32)
        return (1 - taken.float() / self.schedule).clamp_min(0)
