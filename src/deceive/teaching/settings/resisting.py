"""Settings of rounds in which a classifier learns to resist."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from deceive.common import checks
from deceive.data.dataset import Dataset
from deceive.fooling.starts import REAL, STARTS
from deceive.teaching.settings.base import ContinualSettings, Round, Share, Some, known_starts


class ResistingSettings(ContinualSettings):
    """Rounds in which a classifier learns to resist gibberish.

    Candidates begin from many starts and climb by every rule in turn, without a schedule; the
    network is not told the noise level (docs/laboratory/resisting.md).

    >>> from deceive import ResistingSettings
    >>> ResistingSettings(rounds=3, candidates=8, searched=0).kind
    'resisting'
    """

    kind: Literal["resisting"] = "resisting"
    network: str = "resist"
    rounds: Some = 2500
    candidates: Annotated[int, Field(ge=1)] = 128
    steps: Some = 5
    kept: Annotated[int, Field(ge=1)] = 2000
    shown: tuple[Round, ...] = (0, 30, 100, 300, 1000)
    measured: Annotated[int, Field(ge=1)] = 10
    """Images of each class and start that are made to measure a network."""
    learning_rate: float = Field(default=6e-4, gt=0, le=1e30)
    rubbish_weight: float = Field(default=0.5, gt=0, le=checks.GREATEST)
    averaging: float = Field(default=0.998, ge=0, lt=1)
    starts: tuple[str, ...] = ("uniform", "gaussian", *("smooth", "blank") * 2, *("real",) * 4)
    """Where candidates begin, chosen at random from this list: kinds of noise, or `real` for a
    digit with another class as target. A name given twice is twice as likely."""
    restarted: Share = 0.1
    """Share of a round's candidates that restart."""
    confidence: Share = 0.9
    """Confidence at which a candidate stops climbing."""
    step_size: float = Field(default=0.005, gt=0, le=checks.GREATEST)
    """Smallest step size, as a share of the pixels' range. Each round's own is up to 30 times as
    large."""
    momentum: float = Field(default=0.5, ge=0, lt=1)
    """Share of an image's last step that is repeated."""
    searched: int = Field(default=24, ge=0)
    """Extra candidates in each round, led by a search without a gradient, which adds helpful
    squares. Their set is smaller than `kept` in
    the same proportion."""
    digits_sure: Share | None = 0.96
    """Share of the validation digits that the final network should be at least 99% sure of; its
    rubbish logit is lowered until it is. None leaves it unchanged."""

    @field_validator("starts")
    @classmethod
    def _known(cls, starts: tuple[str, ...]) -> tuple[str, ...]:
        return known_starts(starts, (*STARTS, REAL))

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        super().check(data)
        checks.in_memory("searched", self.searched, data.image_shape)
        self.check_divisible("searched")
