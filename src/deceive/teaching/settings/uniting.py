"""Settings of rounds that teach one network to read, resist and draw."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from deceive.fooling.starts import REAL, STARTS
from deceive.networks.building import PARTS
from deceive.networks.coarse_to_fine import CoarseToFine
from deceive.storage.models import load_card
from deceive.teaching.settings.base import (
    ContinualSettings,
    Round,
    Share,
    Some,
    check_judged,
    known_starts,
)


class UnitingSettings(ContinualSettings):
    """Rounds that put three trained networks together, and teach two of them on.

    Candidates climb against the whole, as plain `fool` does. They become rubbish to a copy of the
    network that draws and to the guard of the one that resists (docs/laboratory/one.md).

    >>> from deceive import UnitingSettings
    >>> UnitingSettings(rounds=3, candidates=8).drawing
    'draw'
    """

    networks: ClassVar[Collection[str]] = (CoarseToFine.architecture,)

    kind: Literal["uniting"] = "uniting"
    network: str = CoarseToFine.architecture
    drawing: str = "draw"
    """Network that draws, by name or path. All three must have been trained on the same data."""
    resisting: str = "resist"
    """Network that resists, by name or path."""
    reading: str = "fast"
    """Network that reads, by name or path. It is not taught."""
    rounds: Some = 1000
    candidates: Annotated[int, Field(ge=1)] = 48
    steps: Some = 4
    kept: int = Field(default=384, ge=1)
    shown: tuple[Round, ...] = (0, 300)
    measured: Annotated[int, Field(ge=1)] = 100
    learning_rate: float = Field(default=2e-4, gt=0, le=1e30)
    averaging: float = Field(default=0.99, ge=0, lt=1)
    confidence: Share = 0.999
    """Confidence at which a candidate stops climbing."""
    longest: Some = 60
    """Steps after which a candidate restarts."""
    restarted: Share = 0.3
    """Share of the candidates that restart when they deceive."""
    digits_sure: Share = 0.96
    """Share of the validation digits that the final network should be at least 99% sure of."""
    judged: int = Field(default=1000, ge=0)
    """Images of each class that deceive the final network, to be judged against the test images by
    every measure; 0 for none."""
    starts: tuple[str, ...] = (
        *("uniform",) * 5,
        *("gaussian", "smooth", "blank", "squares"),
        *("real",) * 3,
    )
    """Where candidates begin, chosen at random from this list: kinds of noise, or `real` for a real
    image with another class as target. A name given twice is twice as likely."""

    @field_validator("starts")
    @classmethod
    def _known(cls, starts: tuple[str, ...]) -> tuple[str, ...]:
        return known_starts(starts, (*STARTS, REAL))

    def check(self, data: Dataset) -> None:
        """Raise `InputError` if they don't fit the data, the machine or the processes."""
        super().check(data)
        check_judged(self.judged, data)
        for name, architecture in PARTS.items():
            self._check_part(name, architecture, data)

    def _check_part(self, name: str, architecture: str, data: Dataset) -> None:
        place = getattr(self, name)
        try:
            card = load_card(place)
        except InputError as error:
            raise InputError(f"{name}: {str(error).removeprefix('model: ')}") from error
        if card.architecture != architecture:
            raise InputError(
                f"{name}: expected a network of the architecture {architecture}, got {place!r}, "
                f"whose architecture is {card.architecture}"
            )
        if card.data_checksum != data.checksum:
            raise InputError(
                f"{name}: expected a network that was trained on the images in {data.folder}, "
                f"got {place!r}, trained on others; for other data give --drawing, --resisting, "
                "--reading and --judge"
            )
        if name == "drawing" and card.ascent is None:
            raise InputError(f"drawing: expected a network from rounds that draw, got {place!r}")
