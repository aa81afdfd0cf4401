"""Settings of rounds in which digits emerge."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from deceive.common import checks
from deceive.data.dataset import Dataset
from deceive.fooling import checked
from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import DRAWING
from deceive.fooling.starts import STARTS
from deceive.teaching.settings.base import ContinualSettings, Round, Some, check_judged


class EmergingSettings(ContinualSettings):
    """Rounds in which digits emerge from noise.

    Candidates climb through less and less noise. The network is told the noise level, and learns to
    tell them from digits in the same noise (docs/explanation/rounds.md).

    >>> from deceive import EmergingSettings
    >>> EmergingSettings(rounds=3, candidates=8).kept
    500
    """

    kind: Literal["emerging"] = "emerging"
    network: str = "draw"
    rounds: Some = 30_000
    candidates: Annotated[int, Field(ge=1)] = 64
    steps: Some = 2
    """Steps that each candidate takes in a round."""
    kept: Annotated[int, Field(ge=1)] = 500
    shown: tuple[Round, ...] = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
    measured: Annotated[int, Field(ge=1)] = 100
    learning_rate: float | None = Field(default=None, gt=0, le=1e30)
    """Highest learning rate. None, as in the preset draw, takes 0.0012 √(16,000 / rounds), at most
    0.002. It rises over the first 100 rounds and falls along a cosine to a twentieth. Rounds that
    diverge go back, and continue with half of it."""
    averaging: float = Field(default=0.999, ge=0, lt=1)
    clean_digits: int = Field(default=64, ge=0)
    """Digits without noise in each round, rotated, scaled, shifted and bent; the network learns to
    tell them from each other."""
    judged: int = Field(default=1000, ge=0)
    """Images of each class that the final network draws, to be judged against the test images by
    every measure; 0 for none."""
    start: str = "uniform"
    """Where images begin: uniform, gaussian, smooth, blank or squares."""
    ascent: Ascent = DRAWING
    """How candidates climb. After the whole schedule, a candidate restarts."""

    leading: float = Field(default=0, ge=0, le=checks.GREATEST)
    """Weight of the penalty on gradients that lead elsewhere than from a start to a real image."""

    @property
    def end(self) -> int:
        """Steps of the ascent's schedule, after which a candidate restarts."""
        schedule = self.ascent.schedule
        return 0 if schedule is None else schedule.steps

    @field_validator("start")
    @classmethod
    def _known(cls, start: str) -> str:
        checks.one_of("start", start, STARTS)
        return start

    @field_validator("ascent")
    @classmethod
    def _scheduled(cls, ascent: Ascent) -> Ascent:
        if ascent.schedule is None:
            raise ValueError("expected an ascent with a schedule, got none")
        if why := checked.why_aimed(ascent):
            raise ValueError(why)
        return ascent

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        super().check(data)
        checks.in_memory("clean_digits", self.clean_digits, data.image_shape)
        check_judged(self.judged, data)
