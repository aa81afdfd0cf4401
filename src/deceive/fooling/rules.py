"""How an image climbs: where its gradient is asked for, how far each pixel moves, and which way.

A rule works image by image. What it remembers of an image's earlier steps is its state, a stack of
images that is all zeros at first; the image loop keeps it, and sets it to zero where a bound holds
a pixel back. Directions are taken in units of the step size.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
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


_SETTINGS = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Schedule(BaseModel):
    """How noise and step size fall over a fixed number of steps.

    After t of them the share left is s = 1 - t / steps. The step size falls in proportion to s; the
    noise is least + (first - least) · s^power. Coarse structure is settled first, in noise that
    hides the rest (Song and Ermon 2019, annealed Langevin dynamics).

    >>> import torch
    >>> from deceive import Schedule
    >>> schedule = Schedule(steps=4, least_noise=0.2)
    >>> schedule.left(torch.tensor([0, 1, 4, 9])).tolist()
    [1.0, 0.75, 0.0, 0.0]
    """

    model_config = _SETTINGS

    steps: int = Field(ge=1, lt=checks.MOST)
    """Number of steps over which noise and step size fall."""
    least_noise: float = Field(default=0, ge=0, le=checks.GREATEST)
    """Standard deviation of the noise at the end, as a share of the bounds' width."""
    noise_power: float = Field(default=1, gt=0, le=checks.GREATEST)
    """Above 1 the noise falls quickly at first and spends more steps near its least value."""

    def left(self, taken: Tensor) -> Tensor:
        """The share (N,) of the schedule that is left after `taken` steps (N,), in [0, 1]."""
        return (1 - taken.float() / self.steps).clamp_min(0)


class Ascent(BaseModel):
    """How images climb: the step rule, the step size, and the noise in which gradients are taken.

    Without a schedule, size and noise stay the same at every step; with one, both fall.
    Raises pydantic's `ValidationError` (a `ValueError`) for values out of range.

    >>> from deceive import Ascent, Schedule
    >>> ascent = Ascent(rule="sign", noise=1, schedule=Schedule(steps=20, least_noise=0.03))
    >>> ascent.schedule
    Schedule(steps=20, least_noise=0.03, noise_power=1)
    """

    model_config = _SETTINGS

    rule: Literal["momentum", "sign", "adam"] = "momentum"
    """A name from `RULES`."""
    step_size: float = Field(default=0.01, gt=0, le=checks.GREATEST)
    """How far pixels move on average in the first step, as a share of the bounds' width."""
    momentum: float = Field(default=0.5, ge=0, lt=1)
    """Share of its last step that an image takes again."""
    noise: float = Field(default=0, ge=0, le=checks.GREATEST)
    """Standard deviation, as a share of the bounds' width, of gaussian noise added to an image
    where its gradient is taken, drawn anew at every step (Smilkov et al. 2017). Results are always
    reported without it."""
    schedule: Schedule | None = None
    """How noise and step size fall; by default they don't."""

    @model_validator(mode="before")
    @classmethod
    def _from_older_form(cls, given: Any) -> Any:
        return nested(given) if isinstance(given, Mapping) else given

    def settings_with(self, change: Mapping[str, Any]) -> dict[str, Any]:
        """These settings with some replaced, unchecked; `schedule` may hold some of its own.

        >>> ascent = Ascent(noise=1, schedule=Schedule(steps=20, least_noise=0.03))
        >>> Ascent(**ascent.settings_with({"schedule": {"steps": 60}})).schedule
        Schedule(steps=60, least_noise=0.03, noise_power=1.0)
        """
        given = nested(change)
        if self.schedule is not None and isinstance(given.get("schedule"), Mapping):
            given["schedule"] = self.schedule.model_dump() | given["schedule"]
        return self.model_dump() | given

    def noise_after(self, taken: Tensor) -> Tensor:
        """Standard deviation of the noise (N,) after `taken` steps (N,), in shares of the width."""
        if self.schedule is None:
            return torch.full_like(taken, self.noise, dtype=torch.float32)
        least, left = self.schedule.least_noise, self.schedule.left(taken)
        return least + (self.noise - least) * left.pow(self.schedule.noise_power)

    def size_after(self, taken: Tensor) -> Tensor:
        """The step size (N,) after `taken` steps (N,), before the rule scales it."""
        if self.schedule is None:
            return torch.full_like(taken, self.step_size, dtype=torch.float32)
        return self.step_size * self.schedule.left(taken)


def nested(ascent: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of an ascent in today's form, from files of older versions too.

    There `schedule` was a number of steps, beside `least_noise` and `noise_power`; `hold` is gone.
    What has no meaning any more stays in, so that validation refuses it by its name.

    >>> nested({"noise": 1, "schedule": 20, "least_noise": 0.03, "hold": None})
    {'noise': 1, 'schedule': {'steps': 20, 'least_noise': 0.03}}
    """
    given = dict(ascent)
    if not given.get("hold", True):
        del given["hold"]
    of_schedule = {key: given[key] for key in _OF_SCHEDULE if key in given}
    if isinstance(given.get("schedule"), int):
        given["schedule"] = {"steps": given["schedule"], **of_schedule}
    elif of_schedule and "schedule" not in given:
        given["schedule"] = of_schedule
    else:
        of_schedule = {k: v for k, v in of_schedule.items() if v == _OF_SCHEDULE[k]}
    return {key: value for key, value in given.items() if key not in of_schedule}


_OF_SCHEDULE = {"least_noise": 0, "noise_power": 1}
