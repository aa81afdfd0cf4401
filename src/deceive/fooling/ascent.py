"""`Ascent`: the settings of how images climb, and the schedule along which they change."""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import Tensor

from deceive.common import checks
from deceive.fooling.rules import RULES

_SETTINGS = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Schedule(BaseModel):
    """How noise and step size fall over a fixed number of steps.

    After t steps the share left is s = 1 - t / steps. The step size falls in proportion to s; the
    noise is least + (first - least) · s^power. Early noise hides all but coarse structure, so that
    settles first (as in annealed Langevin dynamics, Song and Ermon 2019).

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

    rule: str = "momentum"
    """How a step follows the gradient: momentum, sign, adam, normalised or polyak. A step of
    polyak is as long as the missing confidence needs, 1 to 20 times `step_size`; it works in `fool`
    alone, with the objective `log_odds`."""
    step_size: float = Field(default=0.01, gt=0, le=checks.GREATEST)
    """How far pixels move on average in the first step, as a share of the bounds' width."""
    momentum: float = Field(default=0.5, ge=0, lt=1)
    """Share of an image's last step that is repeated."""
    noise: float = Field(default=0, ge=0, le=checks.GREATEST)
    """Standard deviation, as a share of the bounds' width, of the Gaussian noise added to an image
    before its gradient is taken; new at every step (Smilkov et al. 2017). Results are always
    reported without noise."""
    softness: float = Field(default=0, ge=0, le=checks.GREATEST)
    """How smooth steps are: gradients are blurred by a gaussian of this many pixels for a noise of
    1, and of fewer in less noise. This removes detail that the noise hides anyway."""
    schedule: Schedule | None = None
    """How noise and step size fall; by default they stay constant."""

    @field_validator("rule")
    @classmethod
    def _known(cls, rule: str) -> str:
        checks.one_of("rule", rule, RULES)
        return rule

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

    def divided(self, substeps: int) -> "Ascent":
        """The same ascent with each step divided into `substeps`, shorter in proportion.

        >>> fine = Ascent(step_size=0.1, schedule=Schedule(steps=20)).divided(4)
        >>> fine.step_size, fine.schedule.steps
        (0.025, 80)
        """
        schedule = self.schedule and {"steps": self.schedule.steps * substeps}
        change = {"step_size": self.step_size / substeps, "schedule": schedule}
        return Ascent(**self.settings_with(change))

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
    """Settings of an ascent in the current form, also from files of older versions.

    In those, `schedule` was a number of steps beside `least_noise` and `noise_power`, and there was
    a `hold`. Other obsolete values are kept, so that validation refuses them by name.

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
