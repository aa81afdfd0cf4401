"""How a guard is fitted to a classifier."""

from pydantic import BaseModel, ConfigDict, Field

from deceive.common import checks


class GuardSettings(BaseModel):
    """How a guard is fitted to a classifier.

    Raises pydantic's `ValidationError` for a value out of range.

    >>> from deceive import GuardSettings
    >>> GuardSettings(keep=0.9).keep
    0.9
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    keep: float = Field(default=0.95, gt=0, lt=1)
    """Share of real images that should pass. It is set on validation images."""
    confidence: float = Field(default=0.99, gt=0, lt=1)
    """The confidence at which an image passes, if the classifier reads well enough for it; a lower
    one is found otherwise."""
    doubt: float = Field(default=0.0005, gt=0, lt=1)
    """Share of its answers in which the classifier is assumed to guess."""
    certified: bool = False
    """Add a detector with proved bounds: for most garbage, no image near it can pass."""
    rounds: int | None = Field(default=None, ge=1, lt=checks.MOST)
    """Rounds in which a guard is trained, if there is none for the data; by default 1,500 for grey
    images and 2,000 for colour."""
    seed: int = Field(default=0, ge=0, lt=checks.SEEDS)
    """Seed of all randomness."""


USUAL = GuardSettings()
"""The settings that are used if none are given."""
