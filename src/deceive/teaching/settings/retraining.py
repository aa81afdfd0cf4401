"""Settings of the case study's rounds."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from deceive.common import checks
from deceive.data.dataset import Dataset
from deceive.fooling.ascent import Ascent
from deceive.teaching.settings.base import Round, RoundsSettings, Share, Some
from deceive.training.recipes import RECIPES


class RetrainingSettings(RoundsSettings):
    """The case study's rounds: a new network every time, trained on all the rubbish so far.

    >>> from deceive import RetrainingSettings
    >>> RetrainingSettings(rounds=2, epochs=1).confidence
    0.99
    """

    kind: Literal["retraining"] = "retraining"
    networks: ClassVar[Collection[str]] = RECIPES
    network: str = "study"
    rounds: Some = 15
    candidates: Annotated[int, Field(ge=1)] = 3000
    steps: Some = 1000
    shown: tuple[Round, ...] = tuple(range(16))
    measured: Annotated[int, Field(ge=1)] = 100
    confidence: Share = 0.99
    """Confidence at which a candidate counts as fooling; it then stays in the rubbish set."""
    noise_images: int = Field(default=6000, ge=0)
    """Images of uniform noise in the rubbish set before the first round."""
    epochs: float = Field(default=5, gt=0, lt=10_000)
    """Passes over digits and rubbish with which each new network is trained."""
    ascent: Ascent = Ascent()
    """How candidates climb."""

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        super().check(data)
        checks.in_memory("noise_images", self.noise_images, data.image_shape)
