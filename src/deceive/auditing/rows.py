"""Schemas of an audit's run folder: settings, rows and arrays."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from deceive.auditing.scaling import Interface
from deceive.auditing.schema import KINDS, Box, Data, Model, Threshold
from deceive.auditing.settings import AuditSettings
from deceive.common import checks
from deceive.common.arrays import Arrays, Layout
from deceive.common.checks import Count, Share
from deceive.storage.runs import Kind, Row, RowSchema, Run

# An attack's candidates, at each of the two thresholds.
_AT_A_THRESHOLD: Layout = {
    "levels": "levels N C H W",
    "confidence": "shares N",
    "fooled": "flags N",
    "steps": "counts N",
    "judged?": "seen N",
    "stalled?": "flags N",
}
_OUTCOMES: Layout = {"targets": "classes N"} | {
    f"{name}_{key}": kind for name in ("asked", "own") for key, kind in _AT_A_THRESHOLD.items()
}

_CURVE: Layout = {
    "targets": "classes N",
    "levels": "levels B N C H W",
    "confidence": "shares B N",
    "judged?": "seen B N",
}

_GARBAGE: Layout = {
    "levels": "levels N C H W",
    "predicted": "classes N",
    "confidence": "shares N",
}

Sizes = dict[str, int]
"""Of an audit's arrays: the classes K, and C, H and W of an image."""


class _Settings(AuditSettings):
    model_config = ConfigDict(extra="ignore")

    model: str
    interface: Interface
    judges: list[str]
    judge_interface: Interface


class _Part(RowSchema):
    part: str
    seconds: float = Field(default=0, ge=0)
    warnings: list[str] = Field(default_factory=list)


class _Again(BaseModel):
    model_config = ConfigDict(extra="forbid")

    data: str | None
    other_data: str | None
    trust: bool


class _Subject(_Part):
    plan: dict[str, str]
    notes: list[str]
    judges: list[dict[str, Any]]
    again: _Again
    model: Model
    data: Data


class _Clean(_Part):
    judge_accuracy: Share | None
    judge_accuracies: list[Share]
    thresholds: list[Threshold] = Field(min_length=2, max_length=2)

    @field_validator("thresholds")
    @classmethod
    def _both(cls, thresholds: list[Threshold]) -> list[Threshold]:
        if {each.name for each in thresholds} != {"asked", "own"}:
            raise ValueError("expected the thresholds asked and own")
        return thresholds


class _Attack(_Part):
    attack: str
    box: Box
    start: str
    first: Count = 0
    arrays: str = Field(pattern=r"^[\w-]+$")


class _Curve(_Part):
    curve: str
    box: Box
    start: str
    unit: Literal["steps", "queries"]
    budgets: list[Annotated[int, Field(ge=1)]] = Field(min_length=1)


class _Garbage(_Part):
    kind: str
    images: Count

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        checks.one_of("kind", kind, KINDS)
        return kind


class _Failure(_Part):
    of: str
    reason: str


def _schemas(settings: Row, row: Row) -> Sequence[type[RowSchema]]:
    """The schemas of a row: by part, else by content; a search has two kinds of rows."""
    alone: dict[str, type[RowSchema]] = {"subject": _Subject, "clean": _Clean, "failure": _Failure}
    if row.get("part") in tuple(alone):
        return [alone[row["part"]]]
    several: dict[str, type[RowSchema]] = {"attack": _Attack, "curve": _Curve, "kind": _Garbage}
    return [schema for key, schema in several.items() if key in row]


AUDIT = Kind("audit", "an audit", _Settings, _schemas)


def sizes_of(image_shape: Sequence[int], n_classes: int) -> Sizes:
    """The sizes for images (C, H, W) and this many classes."""
    return dict(zip("CHW", image_shape, strict=True), K=n_classes)


def load_outcomes(run: Run, row: Row, sizes: Sizes) -> Arrays:
    """The outcomes of the attack's candidates; `row` is the attack's.

    Raises `InputError` when the arrays are missing or damaged; so do the other loaders.
    """
    return run.load_arrays(row["arrays"], _OUTCOMES, **sizes)


def load_curve(run: Run, row: Row, sizes: Sizes) -> Arrays:
    """A curve's candidates at each of its budgets; `row` is the curve's."""
    return run.load_arrays(row["part"].replace("/", "-"), _CURVE, B=len(row["budgets"]), **sizes)


def garbage_name(kind: str) -> str:
    """The name of the arrays of a kind of garbage."""
    return f"garbage-{kind.replace(' ', '-')}"


def load_garbage(run: Run, kind: str, sizes: Sizes) -> Arrays:
    """The images of a kind of garbage that the model is surest of."""
    return run.load_arrays(garbage_name(kind), _GARBAGE, **sizes)
