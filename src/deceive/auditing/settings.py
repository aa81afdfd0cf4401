"""How much an audit does."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deceive.common import checks
from deceive.common.levels import Shape

CERTAIN = 1 - 1e-6
"""The greatest confidence that can be asked for: float32 can't tell more from certainty."""

WayName = Literal["momentum", "sign", "adam", "smoothed", "restarts"]
"""A gradient attack, by its name in `attacks.WAYS`."""

StartName = Literal["uniform", "gaussian", "smooth", "blank", "squares", "real"]
"""A kind of start of the gradient attacks."""


class AuditSettings(BaseModel):
    """How much an audit does.

    Raises pydantic's `ValidationError` for a value out of range.

    >>> from deceive import AuditSettings
    >>> AuditSettings(steps=500).model_copy(update={"seed": 1}).steps
    500
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    confidence: float = Field(default=0.99, gt=0, lt=1)
    """The softmax probability that counts as being sure: the threshold `asked`."""
    candidates: int = Field(default=50, ge=1)
    """Start images per kind of start and gradient attack; their targets are the classes in turn."""
    steps: int = Field(default=200, ge=1, lt=checks.MOST)
    """The most steps a gradient attack takes per candidate."""
    restarts: int = Field(default=1, ge=1, lt=checks.MOST)
    """Attempts per candidate in the attack `restarts`, each from a fresh start image."""
    ways: tuple[WayName, ...] = Field(default=get_args(WayName), min_length=1)
    """The gradient attacks to run."""
    starts: tuple[StartName, ...] = Field(default=get_args(StartName), min_length=1)
    """The kinds of start of the gradient attacks."""
    curve_candidates: int = Field(default=20, ge=0)
    """Candidates per curve of confidence against steps; 0: no curves."""
    searched: int = Field(default=20, ge=0)
    """Candidates per black-box attack; 0 turns these off for a model with a gradient."""
    queries: int = Field(default=1000, ge=100, lt=checks.MOST)
    """The most images a search asks the model about, per candidate."""
    real_images: int = Field(default=10_000, ge=10)
    """The most validation images, and the most test images, to read."""
    garbage_images: int = Field(default=2000, ge=10)
    """Images per kind of garbage that is not optimised."""
    every_search: bool = False
    """Run every search, even on a model with a gradient."""
    every_curve: bool = False
    """Follow curves from every kind of start, not from uniform noise alone."""
    certify: bool = False
    """Also prove for how much garbage nothing within ε of it (0.1 and 0.3 a pixel) gets the
    confidence asked for."""
    seed: int = Field(default=0, ge=0, lt=checks.SEEDS)
    """The seed of all random numbers."""

    @field_validator("ways", "starts", mode="before")
    @classmethod
    def _listed(cls, values: object) -> tuple[object, ...]:
        return checks.short_list(values)

    @field_validator("ways", "starts")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"expected each once, got {', '.join(names)}")
        return names

    @property
    def all_ways(self) -> bool:
        """Whether it runs every gradient attack."""
        return len(self.ways) == len(get_args(WayName))

    def check(self, shape: Shape) -> None:
        """Raise `InputError` when this many images (C, H, W) don't fit into memory."""
        for name in ("candidates", "curve_candidates", "searched", "garbage_images"):
            checks.in_memory(name, getattr(self, name), shape)

    @property
    def is_long(self) -> bool:
        """Whether it asks for more than the quick suite in anything."""
        return any(getattr(self, name) > getattr(QUICK, name) for name in _EXTENT)


def preset(**values: Any) -> AuditSettings:
    """Settings that a plan may reduce: none counts as set by the user."""
    made = AuditSettings(**values)
    made.model_fields_set.clear()
    return made


# The settings that say how much is done, besides the lists of what is done.
_EXTENT = (
    "candidates",
    "steps",
    "restarts",
    "curve_candidates",
    "searched",
    "queries",
    "real_images",
    "garbage_images",
    "every_search",
    "every_curve",
)

QUICK = AuditSettings()
THOROUGH = preset(
    candidates=1000,
    steps=10_000,
    restarts=4,
    curve_candidates=100,
    searched=100,
    queries=20_000,
    real_images=100_000,
    garbage_images=10_000,
    every_search=True,
    every_curve=True,
)


def budgets(most: int, least: int = 1) -> list[int]:
    """The efforts at which a curve is measured: 1, 3, 10, 30, … up to `most`, and `most` itself.

    >>> budgets(200, least=10)
    [10, 30, 100, 200]
    """
    steps = sorted({factor * 10**power for power in range(10) for factor in (1, 3)})
    return [step for step in steps if least <= step < most] + [most]
