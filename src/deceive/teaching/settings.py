"""What the rounds are: the settings of each kind, and how stored ones are read."""

from collections.abc import Collection
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deceive.common import checks, processes
from deceive.common.errors import InputError
from deceive.data.loading import Dataset
from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import DRAWING
from deceive.fooling.starts import REAL, STARTS
from deceive.judging.quality import LEAST_JUDGED
from deceive.networks.building import NETWORKS
from deceive.training.recipes import RECIPES

SURE = 0.99
"""How sure a network is to be of digits, and of what counts as deceiving it."""

_Some = Annotated[int, Field(ge=1, lt=checks.MOST)]
_Round = Annotated[int, Field(ge=0)]
_Confidence = Annotated[float, Field(gt=0, lt=1)]
_Share = Annotated[float, Field(gt=0, lt=1)]


class RoundsSettings(BaseModel):
    """What every kind of rounds has; each kind is a class of its own.

    Make an `EmergingSettings`, `ResistingSettings` or `RetrainingSettings`. All are frozen; bad
    values raise pydantic's `ValidationError`, a `ValueError`.

    >>> import deceive
    >>> settings = deceive.EmergingSettings(rounds=100, shown=(0, 10))
    >>> isinstance(settings, deceive.RoundsSettings)
    True
    >>> [number for number in range(101) if settings.is_shown(number)]
    [0, 10, 100]
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    networks: ClassVar[Collection[str]] = NETWORKS
    """The networks, by name, that such rounds can teach."""

    network: str
    """Architecture of the network that is deceived and taught. It has one output more than there
    are classes, for rubbish."""
    rounds: _Some
    """Number of rounds."""
    candidates: Annotated[int, Field(ge=1)]
    """Images that try to deceive the network in each round."""
    steps: _Some
    """Most steps that a candidate takes in a round."""
    seed: int = Field(default=0, ge=0, lt=checks.SEEDS)
    """Seed of all randomness."""
    judge: str = "judge"
    """Network that says what an image shows, by name or path; it must have been trained on the
    same data."""
    shown: tuple[_Round, ...]
    """Rounds after which the network is kept and measured. The last one always is."""
    measured: Annotated[int, Field(ge=1)]
    """Images of each class that are made to measure a network."""
    training_images: int = Field(default=55_000, ge=100)
    """How many of the training images are used: the first so many."""

    @model_validator(mode="before")
    @classmethod
    def _of_one_kind(cls, given: Any) -> Any:
        if "kind" not in cls.model_fields:
            raise ValueError(
                "expected EmergingSettings, ResistingSettings or RetrainingSettings, one for each "
                f"kind of rounds, got {cls.__name__}"
            )
        return renewed(given) if isinstance(given, dict) else given

    @field_validator("starts", "shown", mode="before", check_fields=False)
    @classmethod
    def _listed(cls, values: object) -> tuple[object, ...]:
        if not isinstance(values, list | tuple):  # a range may be huge
            raise ValueError(f"expected a list, got {type(values).__name__}")
        return tuple(values)

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        checks.one_of("network", self.network, self.networks)
        checks.in_memory("candidates", self.candidates, data.image_shape)
        checks.in_memory("measured", self.measured * data.n_classes, data.image_shape)

    def is_shown(self, number: int) -> bool:
        """Whether the network is measured after round `number`; 0 is before the first round."""
        return number in self.shown or number == self.rounds


class ContinualSettings(RoundsSettings):
    """What rounds have whose network goes on learning: one step of its optimiser a round."""

    kept: int = Field(default=2000, ge=1)
    """Size of the rubbish set, from which each round takes its candidates."""
    learning_rate: float = Field(default=6e-4, gt=0, le=1e30)
    """Highest learning rate. It rises over the first 100 rounds and falls along a cosine to a
    twentieth. Rounds that diverge go back, and go on with half of it."""
    rubbish_weight: float = Field(default=1, gt=0, le=checks.GREATEST)
    """Weight of an image of rubbish in the loss; a digit has weight 1."""
    averaging: float
    """How slowly the averaged network follows the one that learns: the share that it keeps of
    itself in a round. The averaged network is the result."""
    smoothness: float = Field(default=0.1, ge=0, le=checks.GREATEST)
    """Weight of the penalty on the gradient at digits (R1, Mescheder et al. 2018). It keeps the
    network from growing so steep that its gradient leads nowhere."""

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
        self._check_divisible("candidates", "kept")

    def _check_divisible(self, *names: str) -> None:
        count = processes.here().count
        for name in names:
            if getattr(self, name) % count:
                raise InputError(
                    f"{name}: expected a multiple of the {count} processes, "
                    f"got {getattr(self, name)}"
                )


class EmergingSettings(ContinualSettings):
    """Rounds in which digits emerge from noise.

    Candidates are on their way through less and less noise; the network is told how much, and
    learns to tell digits in the same noise from them (docs/rounds.md).

    >>> from deceive import EmergingSettings
    >>> EmergingSettings(rounds=3, candidates=8).kept
    2000
    """

    kind: Literal["emerging"] = "emerging"
    network: str = "draw"
    rounds: _Some = 16_000
    candidates: Annotated[int, Field(ge=1)] = 64
    steps: _Some = 2
    """Steps that each candidate takes in a round."""
    shown: tuple[_Round, ...] = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)
    measured: Annotated[int, Field(ge=1)] = 100
    averaging: float = Field(default=0.999, ge=0, lt=1)
    clean_digits: int = Field(default=64, ge=0)
    """Digits without noise in each round, rotated, scaled, shifted and bent; the network learns to
    tell them from each other."""
    judged: int = Field(default=1000, ge=0)
    """Images of each class that the final network draws, to be judged against the test images by
    every measure; 0 for none."""
    ascent: Ascent = DRAWING
    """How candidates climb. A candidate that has gone through the whole schedule begins anew, as
    uniform noise."""

    @property
    def end(self) -> int:
        """Steps of the ascent's schedule, after which a candidate begins anew."""
        schedule = self.ascent.schedule
        return 0 if schedule is None else schedule.steps

    @field_validator("ascent")
    @classmethod
    def _scheduled(cls, ascent: Ascent) -> Ascent:
        if ascent.schedule is None:
            raise ValueError("expected an ascent with a schedule, got none")
        return ascent

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        super().check(data)
        checks.in_memory("clean_digits", self.clean_digits, data.image_shape)
        checks.in_memory("judged", self.judged * data.n_classes, data.image_shape)
        least = -(-LEAST_JUDGED // data.n_classes)
        if 0 < self.judged < least:
            raise InputError(
                f"judged: expected 0, or at least {least} images for each of {data.n_classes} "
                f"classes to train a classifier on, got {self.judged}"
            )


class ResistingSettings(ContinualSettings):
    """Rounds in which a classifier learns to resist gibberish.

    Candidates begin anywhere and climb by every rule in turn, without a schedule; the network is
    not told of any noise (docs/resisting.md).

    >>> from deceive import ResistingSettings
    >>> ResistingSettings(rounds=3, candidates=8, searched=0).kind
    'resisting'
    """

    kind: Literal["resisting"] = "resisting"
    network: str = "resist"
    rounds: _Some = 2500
    candidates: Annotated[int, Field(ge=1)] = 128
    steps: _Some = 5
    shown: tuple[_Round, ...] = (0, 30, 100, 300, 1000)
    measured: Annotated[int, Field(ge=1)] = 10
    """Images of each class and start that are made to measure a network."""
    rubbish_weight: float = Field(default=0.5, gt=0, le=checks.GREATEST)
    averaging: float = Field(default=0.998, ge=0, lt=1)
    starts: tuple[str, ...] = ("uniform", "gaussian", *("smooth", "blank") * 2, *("real",) * 4)
    """Where candidates begin, drawn at random from this list: kinds of noise, or `real` for a digit
    that is to be taken for another class. A name given twice is twice as likely."""
    restarted: _Share = 0.1
    """Share of a round's candidates that begin anew."""
    confidence: _Confidence = 0.9
    """Confidence at which a candidate stops climbing."""
    step_size: float = Field(default=0.005, gt=0, le=checks.GREATEST)
    """Smallest step size, as a share of the pixels' range. Each round's own is up to 30 times as
    large."""
    momentum: float = Field(default=0.5, ge=0, lt=1)
    """How much of its last step an image takes again."""
    searched: int = Field(default=24, ge=0)
    """Extra candidates in each round, led by a search without a gradient, which puts squares where
    they help. Their own set is to `kept` as this number is to `candidates`."""
    digits_sure: _Share | None = 0.96
    """Share of the validation digits of which the final network is at least 99% sure; its bias
    against rubbish is lowered until it is. None leaves it as it is."""

    @field_validator("starts")
    @classmethod
    def _known(cls, starts: tuple[str, ...]) -> tuple[str, ...]:
        if not starts:
            raise ValueError("expected at least one kind of start, got none")
        for start in starts:
            checks.one_of("starts", start, (*STARTS, REAL))
        return starts

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        super().check(data)
        checks.in_memory("searched", self.searched, data.image_shape)
        self._check_divisible("searched")


class RetrainingSettings(RoundsSettings):
    """The case study's rounds: a new network every time, trained on all the rubbish so far.

    >>> from deceive import RetrainingSettings
    >>> RetrainingSettings(rounds=2, epochs=1).confidence
    0.99
    """

    kind: Literal["retraining"] = "retraining"
    networks: ClassVar[Collection[str]] = RECIPES
    network: str = "study"
    rounds: _Some = 15
    candidates: Annotated[int, Field(ge=1)] = 3000
    steps: _Some = 1000
    shown: tuple[_Round, ...] = tuple(range(16))
    measured: Annotated[int, Field(ge=1)] = 100
    confidence: _Confidence = 0.99
    """Confidence at which a candidate counts as fooling; it joins the rubbish for good."""
    noise_images: int = Field(default=6000, ge=0)
    """Images of uniform noise that are rubbish before the first round."""
    epochs: float = Field(default=5, gt=0, lt=10_000)
    """Passes over digits and rubbish with which each new network is trained."""
    ascent: Ascent = Ascent()
    """How candidates climb."""

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        super().check(data)
        checks.in_memory("noise_images", self.noise_images, data.image_shape)


KINDS: dict[str, type[RoundsSettings]] = {
    "emerging": EmergingSettings,
    "resisting": ResistingSettings,
    "retraining": RetrainingSettings,
}

# One class used to hold the settings of all kinds, which these three told apart.
_TOLD_APART = {"kept", "restarted", "epochs"}


def read_settings(stored: dict[str, Any], where: str) -> RoundsSettings:
    """Settings from JSON, of the kind that they name; also as earlier versions wrote them.

    Args:
        stored: what `model_dump(mode="json")` gave. Nothing is converted, such as text to numbers.
        where: the path or name for the error's sentence.

    Raises:
        InputError: if it is no such object, or a value is wrong.

    >>> read_settings({"kind": "retraining", "rounds": 2}, "here").network
    'study'
    """
    kind = renewed(stored).get("kind")
    checks.one_of(f"{where}: kind of rounds", kind, KINDS)
    return checks.fits(KINDS[str(kind)], stored, where, f"settings of {kind} rounds", strict=True)


def renewed(given: dict[str, Any]) -> dict[str, Any]:
    """Settings of all kinds in one, as they once were written, as those of their own kind.

    Leaves out what that kind ignored. Gives others as they are.
    """
    if "kind" in given or not given.keys() >= _TOLD_APART:
        return given
    kind = "emerging" if given["restarted"] is None else "resisting"
    if given["epochs"] is not None:
        kind = "retraining"
    ascent = given.get("ascent")
    if kind == "resisting" and isinstance(ascent, dict):
        given = given | {name: ascent[name] for name in ("step_size", "momentum") if name in ascent}
    fields = {name: each.model_fields.keys() for name, each in KINDS.items()}
    ignored = set().union(*fields.values()) - fields[kind]
    if given.get("confidence") is not None:  # it was never ignored
        ignored -= {"confidence"}
    return {"kind": kind} | {name: value for name, value in given.items() if name not in ignored}
