"""Settings that all kinds of rounds share."""

import math
from collections.abc import Collection
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deceive.common import checks, processes
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from deceive.judging.quality import LEAST_JUDGED
from deceive.networks.building import TAUGHT

SURE = 0.99
"""The confidence that a network should have in digits, and that counts as deceived."""

Some = Annotated[int, Field(ge=1, lt=checks.MOST)]
"""At least one."""
Round = Annotated[int, Field(ge=0)]
"""The number of a round; 0 is before the first."""
Share = Annotated[float, Field(gt=0, lt=1)]
"""Between 0 and 1, both excluded."""


def known_starts(starts: tuple[str, ...], known: Collection[str]) -> tuple[str, ...]:
    """The starts, if there are any and all of them are known; else raises `ValueError`."""
    if not starts:
        raise ValueError("expected at least one kind of start, got none")
    for start in starts:
        checks.one_of("starts", start, known)
    return starts


def check_judged(judged: int, data: Dataset) -> None:
    """Raise `InputError` if so many images of each class are too many, or too few to judge."""
    checks.in_memory("judged", judged * data.n_classes, data.image_shape)
    least = -(-LEAST_JUDGED // data.n_classes)
    if 0 < judged < least:
        raise InputError(
            f"judged: expected 0, or at least {least} images for each of {data.n_classes} "
            f"classes to train a classifier on, got {judged}"
        )


class RoundsSettings(BaseModel):
    """Settings that all kinds of rounds have.

    Make an `EmergingSettings`, `ResistingSettings`, `RetrainingSettings` or `UnitingSettings`. All
    are frozen; bad values raise pydantic's `ValidationError`, a `ValueError`.

    >>> import deceive
    >>> settings = deceive.EmergingSettings(rounds=100, shown=(0, 10))
    >>> isinstance(settings, deceive.RoundsSettings)
    True
    >>> [number for number in range(101) if settings.is_shown(number)]
    [0, 10, 100]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    networks: ClassVar[Collection[str]] = TAUGHT
    """The networks, by name, that such rounds can teach."""

    network: str
    """Architecture of the network that is deceived and taught. It has one output more than there
    are classes, for rubbish."""
    rounds: Some
    """Number of rounds."""
    candidates: Annotated[int, Field(ge=1)]
    """Images that try to deceive the network in each round."""
    steps: Some
    """Most steps that a candidate takes in a round."""
    seed: int = Field(default=0, ge=0, lt=checks.SEEDS)
    """Seed of all randomness."""
    judge: str = "judge"
    """Network that says what an image shows, by name or path; it must have been trained on the
    same data."""
    shown: tuple[Round, ...]
    """Rounds after which the network is kept and measured. The last one always is."""
    measured: Annotated[int, Field(ge=1)]
    """Images of each class that are made to measure a network."""
    training_images: int = Field(default=55_000, ge=100)
    """How many training images are used, from the first."""

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, given: Any) -> Any:
        if "kind" not in cls.model_fields:
            raise ValueError(
                "expected EmergingSettings, ResistingSettings, RetrainingSettings or "
                f"UnitingSettings, one for each kind of rounds, got {cls.__name__}"
            )
        return given

    @field_validator("starts", "shown", mode="before", check_fields=False)
    @classmethod
    def _listed(cls, values: object) -> tuple[object, ...]:
        return checks.short_list(values)

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        checks.one_of("network", self.network, self.networks)
        checks.in_memory("candidates", self.candidates, data.image_shape)
        checks.in_memory("measured", self.measured * data.n_classes, data.image_shape)

    def is_shown(self, number: int) -> bool:
        """Whether the network is measured after round `number`; 0 is before the first round."""
        return number in self.shown or number == self.rounds


class ContinualSettings(RoundsSettings):
    """Settings of rounds in which one network keeps learning: one optimiser step per round."""

    kept: Annotated[int, Field(ge=1)]
    """Size of the rubbish set, from which each round takes its candidates."""
    learning_rate: float | None
    """Highest learning rate. It rises over the first 100 rounds and falls along a cosine to a
    twentieth. Rounds that diverge go back, and continue with half of it."""
    rubbish_weight: float = Field(default=1, gt=0, le=checks.GREATEST)
    """Weight of an image of rubbish in the loss; a digit has weight 1."""
    averaging: float
    """How slowly the averaged network follows the one that learns: the share of itself that it
    keeps in a round. The averaged network is the result."""
    smoothness: float = Field(default=0.1, ge=0, le=checks.GREATEST)
    """Weight of the penalty on the gradient at digits (R1, Mescheder et al. 2018). It keeps the
    network from growing so steep that its gradient leads nowhere."""

    @property
    def rate(self) -> float:
        """The highest learning rate: the one given, or one that suits the number of rounds."""
        if self.learning_rate is None:
            return min(2e-3, 1.2e-3 * math.sqrt(16_000 / self.rounds))
        return self.learning_rate

    @model_validator(mode="after")
    def _enough_kept(self) -> "ContinualSettings":
        if self.kept < self.candidates:
            raise ValueError(
                "expected no more candidates than are kept, got "
                f"candidates {self.candidates}, kept {self.kept}"
            )
        return self

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        super().check(data)
        checks.in_memory("kept", self.kept, data.image_shape)
        self.check_divisible("candidates", "kept")

    def check_divisible(self, *names: str) -> None:
        """Raise `InputError` if a field can't be shared equally among the processes."""
        count = processes.here().count
        for name in names:
            if getattr(self, name) % count:
                raise InputError(
                    f"{name}: expected a multiple of the {count} processes, "
                    f"got {getattr(self, name)}"
                )
