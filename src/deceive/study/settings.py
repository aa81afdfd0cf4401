"""The settings of the case study, and the command that runs it."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.flags import command_line, flags_of
from deceive.data.again import data_flags
from deceive.data.dataset import Dataset
from deceive.storage.kinds import Row
from deceive.storage.models import load_card
from deceive.training.recipes import RECIPES


class StudySettings(BaseModel):
    """Settings of the case study."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = "fast"
    """The classifier to deceive: the name of a recipe, such as fast, judge or study."""
    judge: str = "judge"
    """The network that says what the fooling images show; trained on the same data."""
    epochs: float | None = Field(default=None, gt=0, lt=10_000)
    """Passes over the training images in each of the three trainings; by default the recipe's."""
    training_images: int = Field(default=55_000, ge=1000)
    """How many training images to use, from the first."""
    confidence: float = Field(default=0.99, gt=0, lt=1)
    """The probability of the target that a candidate must reach."""
    candidates: int = Field(default=100, ge=1)
    """Candidates for each digit when a fooling rate is measured."""
    steps: int = Field(default=1000, ge=1, lt=checks.MOST)
    """The most steps a candidate may take."""
    noise_images: int = Field(default=6000, ge=1)
    """Images of uniform noise in the rubbish class in parts 2 and 4."""
    fooling_images: int = Field(default=3000, ge=10)
    """Fooling images in the rubbish class in part 4."""
    seed: int = Field(default=0, ge=0, lt=checks.SEEDS)
    """Seed of all random numbers."""

    @field_validator("network")
    @classmethod
    def _known(cls, network: str) -> str:
        if network not in RECIPES:
            raise ValueError(f"expected one of {', '.join(RECIPES)}")
        return network

    def check(self, data: Dataset) -> None:
        """Raise `InputError` when they don't fit the data or the machine's memory."""
        shape = data.image_shape
        checks.in_memory("candidates", self.candidates * data.n_classes, shape)
        checks.in_memory("noise_images", self.noise_images, shape)
        checks.in_memory("fooling_images", self.fooling_images, shape)
        judge = load_card(self.judge)
        if judge.image_shape != shape:
            raise InputError(
                f"judge: expected a network for the data's images, {shape}, "
                f"got {self.judge!r} for {judge.image_shape}"
            )
        if judge.data_checksum != data.checksum:
            raise InputError(
                f"judge: expected a network trained on the images in {data.folder}, "
                f"got {self.judge!r}, trained on others; train one with deceive train --data"
            )


def settings_of(stored: Row) -> StudySettings:
    """The settings of a study from what is stored in its run folder."""
    return StudySettings(**{name: stored[name] for name in StudySettings.model_fields})


def command_of(settings: StudySettings, data: Dataset | None = None) -> str:
    """The command that repeats a study, on these images or, by default, on MNIST.

    >>> command_of(StudySettings(seed=1, network="judge"))
    'deceive study --network judge --seed 1'
    """
    read = [] if data is None else data_flags(data)
    return command_line("study", *read, *flags_of(settings, StudySettings()))
