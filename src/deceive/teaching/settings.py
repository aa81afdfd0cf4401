"""What the rounds are: their settings, the presets, and the command that plays them."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from deceive.common import checks, processes
from deceive.common.errors import InputError
from deceive.common.files import read_json
from deceive.data.loading import Dataset
from deceive.fooling.drawing import DRAWING
from deceive.fooling.rules import Ascent
from deceive.fooling.starts import REAL, STARTS
from deceive.judging.quality import LEAST_JUDGED
from deceive.networks.classifier import ARCHITECTURES
from deceive.training.recipes import RECIPES


class RoundsSettings(BaseModel):
    """What a round is, and how many there are."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = "draw"
    """Architecture of the classifier; it has one more output than there are classes."""
    judge: str = "judge"
    """Network that says what the images look like; it was trained on the same data."""
    rounds: int = Field(default=16_000, ge=1, lt=checks.MOST)
    candidates: int = Field(default=64, ge=1)
    """Images that are deceived with in a round."""
    starts: tuple[str, ...] = ("uniform",)
    """Where candidates begin, by lot: kinds of noise (`starts.STARTS`), or `real`, a digit, which
    is to be taken for another class. What is named twice is as likely again. With `restarted`; else
    all begin as uniform noise."""
    steps: int = Field(default=2, ge=1, lt=checks.MOST)
    """The most steps that each of them takes in a round."""
    confidence: float | None = Field(default=None, gt=0, lt=1)
    """Where an image is left; without one it takes all its steps."""
    ascent: Ascent = DRAWING
    """How images climb."""
    kept: int | None = Field(default=2000, ge=1)
    """Size of a rubbish set whose images are deceived with again and again, until they have gone
    through the ascent's schedule and begin anew. Without one each round begins with fresh noise,
    and what fooled joins the rubbish for good."""
    restarted: float | None = Field(default=None, gt=0, lt=1)
    """In place of a schedule: the share of a round's candidates that begin anew. Every round then
    has an ascent of its own: the rules in turn, steps of up to 30 times the size, and noise in
    every other. Images are as they are, and what is taught is to resist."""
    searched: int = Field(default=0, ge=0)
    """Extra candidates per round that are led by a search without a gradient, which puts squares
    where they help (`teaching.searching`). Their own set is as many times as large as `kept` is of
    `candidates`. With `restarted`."""
    noise_images: int = Field(default=0, ge=0)
    """Images of uniform noise that are rubbish before the first round; of use without `kept`."""
    epochs: float | None = Field(default=None, gt=0, lt=10_000)
    """Passes over digits and rubbish with which a new network is trained in every round. Without
    it the same network takes one step of its optimiser, on as many digits as there are candidates.
    """
    training_images: int = Field(default=55_000, ge=100)
    """The first so many of the training images."""
    learning_rate: float = Field(default=6e-4, gt=0, le=1e30)
    """Of the optimiser, at its greatest; it falls by a cosine to a twentieth. With one that is much
    too great rounds diverge, go back, and say so. Without `epochs`."""
    rubbish_weight: float = Field(default=1, gt=0, le=checks.GREATEST)
    """How much an image of rubbish counts beside a digit. Without `epochs`."""
    clean_digits: int = Field(default=64, ge=0)
    """Digits in a round that are shown without noise, turned, stretched, shifted and bent, only to
    be told from each other. With a schedule."""
    averaging: float = Field(default=0.999, ge=0, lt=1)
    """How slowly the averaged network, the one that draws, follows. Without `epochs`."""
    smoothness: float = Field(default=0.1, ge=0, le=checks.GREATEST)
    """Weight of the penalty on the gradient at digits (R1, Mescheder et al. 2018), which keeps the
    network from growing so steep that its gradient leads nowhere. Without `epochs`."""
    shown: tuple[Annotated[int, Field(ge=0)], ...] = (
        0,
        1,
        3,
        10,
        30,
        100,
        300,
        1000,
        3000,
        10_000,
        30_000,
    )
    """Rounds after which the network is kept and measured; the last one always is."""
    measured: int = Field(default=100, ge=1)
    """Images for each class on which it is measured, against the validation images."""
    judged: int = Field(default=1000, ge=0)
    """Images for each class that the last network draws, to be judged against the test images by
    every measure; 0 for none. With a schedule."""
    digits_sure: float | None = Field(default=None, gt=0, lt=1)
    """Share of the validation images of which the network is to be 0.99 sure: it is made to expect
    rubbish as seldom as that takes (`training.expect_rubbish`). With `restarted`."""
    seed: int = Field(default=0, ge=0, lt=checks.SEEDS)

    @model_validator(mode="after")
    def _fit(self) -> "RoundsSettings":
        if (self.kept is None) != (self.epochs is not None):
            raise ValueError(
                "expected epochs where rubbish is not kept, and none where it is, got "
                f"kept {self.kept} and epochs {self.epochs}"
            )
        scheduled = self.ascent.schedule is not None
        if self.kept is not None and scheduled == (self.restarted is not None):
            raise ValueError(
                "expected an ascent with a schedule, or else restarted, where rubbish is kept, got "
                f"{'a' if scheduled else 'no'} schedule and restarted {self.restarted}"
            )
        if self.kept is not None and self.kept < self.candidates:
            raise ValueError(
                "expected no more candidates than are kept, got "
                f"candidates {self.candidates}, kept {self.kept}"
            )
        return self

    @field_validator("starts", "shown", mode="before")
    @classmethod
    def _listed(cls, values: object) -> tuple[object, ...]:
        if not isinstance(values, list | tuple):  # a range may be huge
            raise ValueError(f"expected a list, got {type(values).__name__}")
        return tuple(values)

    @field_validator("starts")
    @classmethod
    def _known(cls, starts: tuple[str, ...]) -> tuple[str, ...]:
        if not starts:
            raise ValueError("expected at least one kind of start, got none")
        for start in starts:
            checks.one_of("starts", start, (*STARTS, REAL))
        return starts

    def check(self, data: Dataset) -> None:
        """Raise `InputError` when they don't fit the data, the machine or the processes."""
        shape, n_classes, count = data.image_shape, data.n_classes, processes.here().count
        checks.one_of("network", self.network, ARCHITECTURES if self.kept is not None else RECIPES)
        for name in ("candidates", "noise_images", "clean_digits", "searched"):
            checks.in_memory(name, getattr(self, name), shape)
        checks.in_memory("kept", self.kept or 0, shape)
        for name in ("measured", "judged"):
            checks.in_memory(name, getattr(self, name) * n_classes, shape)
        for name in ("candidates", "kept", "searched") if self.kept is not None else ():
            if getattr(self, name) % count:
                raise InputError(
                    f"{name}: expected a multiple of the {count} processes, "
                    f"got {getattr(self, name)}"
                )
        least = -(-LEAST_JUDGED // n_classes)
        if self.draws and 0 < self.judged < least:
            raise InputError(
                f"judged: expected 0, or at least {least} images for each of {n_classes} classes "
                f"to train a classifier on, got {self.judged}"
            )

    @property
    def draws(self) -> bool:
        """Whether what comes of these rounds is a network that draws."""
        return self.kept is not None and self.ascent.schedule is not None

    def is_shown(self, number: int) -> bool:
        """Whether round `number` (0: none yet) is one after which the network is measured."""
        return number in self.shown or number == self.rounds


PRESETS = {
    "draw": RoundsSettings(),
    "study": RoundsSettings(
        network="study",
        rounds=15,
        candidates=3000,
        steps=1000,
        confidence=0.99,
        ascent=Ascent(),
        kept=None,
        noise_images=6000,
        epochs=5,
        shown=tuple(range(16)),
    ),
    "resist": RoundsSettings(
        network="resist",
        rounds=2500,
        candidates=128,
        starts=("uniform", "gaussian", *("smooth", "blank") * 2, *("real",) * 4),
        steps=5,
        confidence=0.9,
        ascent=Ascent(step_size=0.005),
        restarted=0.1,
        searched=24,
        rubbish_weight=0.5,
        clean_digits=0,
        averaging=0.998,
        shown=(0, 30, 100, 300, 1000),
        measured=10,
        digits_sure=0.96,
    ),
}
"""`study` is the case study's own procedure, literally; with `draw` digits emerge; `resist` makes a
classifier that is not to be deceived by gibberish."""


def changed(settings: RoundsSettings, path: Path | None) -> RoundsSettings:
    """Settings with those in a JSON file in place of their own; `path` None changes nothing.

    Raises `InputError` when it is no such file, and pydantic's `ValidationError` for its values.
    """
    if path is None:
        return settings
    given = read_json(path, "a JSON object of settings")
    usual = settings.model_dump()
    if isinstance(given.get("ascent"), dict):
        given["ascent"] = settings.ascent.settings_with(given["ascent"])
    return RoundsSettings.model_validate(usual | given)


def command(settings: RoundsSettings) -> str:
    """The command that plays these rounds, from the same data."""
    preset = "study" if settings.kept is None else "resist" if settings.restarted else "draw"
    words = ["deceive rounds --preset", preset]
    words += _flags(settings.model_dump(), PRESETS[preset].model_dump())
    return " ".join(words)


def _flags(given: dict[str, Any], usual: dict[str, Any], prefix: str = "--") -> list[str]:
    """A flag for each of these settings that is another than usual."""
    flags = []
    for name, value in given.items():
        flag = f"{prefix}{name.replace('_', '-')}"
        if isinstance(value, dict):
            flags += _flags(value, usual[name] or {}, f"{flag}.")
        elif value != usual.get(name):
            shown = " ".join(map(str, value)) if isinstance(value, tuple) else value
            flags.append(f"{flag} {shown}")
    return flags
