"""The run folder of an audit: its settings, rows and arrays.

A row says its kind in `type`. Parts write one each when they are whole; `subject` says what is
audited and what there is to do, `failure` that the model raised an error in a part.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from deceive.auditing.models.interface import Interface
from deceive.auditing.record.advice import Limit
from deceive.auditing.record.described import Data, Judge, Model
from deceive.auditing.record.measured import (
    Box,
    Certificate,
    Clean,
    Curve,
    Garbage,
    Resemblance,
    Threshold,
)
from deceive.auditing.record.planned import Planned
from deceive.auditing.settings import AuditSettings
from deceive.common.checks import Count, Share
from deceive.storage.kinds import Kind, Row, RowSchema
from deceive.storage.runs import Run

ArraysName = Annotated[str, Field(pattern=r"^[\w-]+$")]


class _Settings(AuditSettings):
    model_config = ConfigDict(extra="ignore")

    model: str
    interface: Interface
    judges: list[str]
    judge_interface: Interface


class _Row(RowSchema):
    part: str
    """The part's name; one row per name, except for failures."""
    seconds: float = Field(default=0, ge=0)
    warnings: list[str] = Field(default_factory=list)


class Again(BaseModel):
    """Arguments of the command that makes an audit again, besides its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str | None = None
    """The folder of the real images, where they aren't MNIST's."""
    other_data: str | None = None
    """The folder given as --other-data."""
    trust: bool = False
    """Whether a file was opened whose format can run code."""


class SubjectRow(_Row):
    """The first row: what is audited, and what there is to do."""

    type: Literal["subject"] = "subject"
    plan: dict[str, str]
    """The parts' names, in order, with their words."""
    planned: Planned
    noticed: list[str] = Field(default_factory=list)
    """About the data."""
    notes: list[str]
    judges: list[Judge]
    """Without accuracies, which the part `clean` measures."""
    again: Again
    model: Model
    data: Data


def _both(thresholds: list[Threshold]) -> list[Threshold]:
    if sorted(each.name for each in thresholds) != ["asked", "own"]:
        raise ValueError("expected the thresholds asked and own")
    return thresholds


class CleanRow(_Row):
    """How real images are read."""

    type: Literal["clean"] = "clean"
    noticed: list[str] = Field(default_factory=list)
    """About the data, once they are read: which pictures can't be."""
    clean: Clean
    limits: list[Limit] = Field(default_factory=list)
    judge_accuracy: Share | None
    """Of the majority; None without judges."""
    judge_accuracies: list[Share]
    """Of each judge."""
    thresholds: Annotated[list[Threshold], AfterValidator(_both)]


class GarbageRow(_Row):
    """A kind of garbage."""

    type: Literal["garbage"] = "garbage"
    garbage: Garbage


class ResemblanceRow(_Row):
    """How much the fooling images look like real ones."""

    type: Literal["resemblance"] = "resemblance"
    resemblance: Resemblance


class CertificateRow(_Row):
    """What is proved."""

    type: Literal["certificate"] = "certificate"
    certificate: Certificate


class Attacked(BaseModel):
    """The candidates of an attack, or of a group of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    box: Box
    start: str
    first: Count = 0
    """The number of the first candidate."""
    arrays: ArraysName
    """Where the outcomes of all candidates are."""


class Followed(BaseModel):
    """The candidates of a curve."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    curve: Curve
    arrays: ArraysName
    """Where the candidates are, after each budget."""


class AttackRow(_Row):
    """A group of an attack's candidates, or images made for another network."""

    type: Literal["attack"] = "attack"
    attacked: Attacked


class CurveRow(_Row):
    """A curve along the gradient."""

    type: Literal["curve"] = "curve"
    followed: Followed


class SearchRow(_Row):
    """A search: its candidates, and the curve of the same candidates."""

    type: Literal["search"] = "search"
    attacked: Attacked
    followed: Followed


class FailureRow(_Row):
    """A part that failed because the model raised an error; it is tried again by the next call."""

    type: Literal["failure"] = "failure"
    of: str
    """The part's name."""
    reason: str
    """The first line of the error."""


PartRow = CleanRow | GarbageRow | CertificateRow | ResemblanceRow | AttackRow | CurveRow | SearchRow
"""What a part gives."""

AuditRow = Annotated[SubjectRow | PartRow | FailureRow, Field(discriminator="type")]

_ADAPTER: TypeAdapter[AuditRow] = TypeAdapter(AuditRow)
_SCHEMAS: dict[str, type[_Row]] = {
    schema.model_fields["type"].default: schema
    for schema in (
        SubjectRow,
        CleanRow,
        GarbageRow,
        CertificateRow,
        ResemblanceRow,
        AttackRow,
        CurveRow,
        SearchRow,
        FailureRow,
    )
}


def _schemas(settings: Row, row: Row) -> Sequence[type[RowSchema]]:
    kind = row.get("type")
    return [_SCHEMAS[kind]] if isinstance(kind, str) and kind in _SCHEMAS else []


AUDIT = Kind("audit", "an audit", _Settings, _schemas)


def typed_rows(run: Run) -> list[AuditRow]:
    """All rows of an audit. Raises `InputError` when one is damaged, or of an earlier version."""
    return [_ADAPTER.validate_python(row) for row in run.of(AUDIT).rows()]


def attacked_in(run: Run) -> list[Attacked]:
    """The candidates of all attacks of an audit, in the order in which they were tried."""
    return [row.attacked for row in typed_rows(run) if isinstance(row, AttackRow | SearchRow)]


def followed_in(run: Run) -> list[Followed]:
    """The candidates of all curves of an audit; those along the gradient come first."""
    return [row.followed for row in typed_rows(run) if isinstance(row, CurveRow | SearchRow)]
