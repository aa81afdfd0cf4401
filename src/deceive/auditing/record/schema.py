"""`audit.json`: everything that an audit found (docs/reference/audit-schema.md)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from deceive.auditing.record.advice import Advice, Limit
from deceive.auditing.record.described import Data, Finding, Judge, Model, ShortName
from deceive.auditing.record.measured import (
    Attack,
    Certificate,
    Clean,
    Curve,
    Failure,
    Garbage,
    Headline,
    Name,
    Resemblance,
    Threshold,
)
from deceive.auditing.record.upgrade import EARLIER, upgraded
from deceive.auditing.settings import AuditSettings
from deceive.common import checks
from deceive.common.checks import Share
from deceive.common.errors import InputError
from deceive.common.files import read_json, write_text

VERSION: Literal[4] = 4


class AuditReport(Finding):
    """Everything an audit found: the content of `audit.json`.

    Raises pydantic's `ValidationError` when its parts contradict each other.

    >>> import torch
    >>> import deceive
    >>> labels = torch.arange(200) % 2  # dark and bright images
    >>> images = 0.8 * labels[:, None, None, None] + 0.2 * torch.rand(200, 1, 8, 8)
    >>> def model(images):  # the brighter, the surer that it is class 1
    ...     logit = 40 * (images.mean((1, 2, 3)) - 0.5)
    ...     return torch.stack([torch.zeros_like(logit), logit], 1)
    >>> little = deceive.AuditSettings(
    ...     candidates=4, steps=10, curve_candidates=2, searched=2, queries=100, garbage_images=20
    ... )
    >>> report = deceive.audit(model, (images, labels), judge=None, settings=little)
    >>> report.clean.accuracy, report.threshold("asked").confidence
    (1.0, 0.99)
    """

    schema_version: Literal[4] = VERSION
    """Changes when a field does."""
    deceive: ShortName
    """Version of the package that wrote it."""
    command: str
    """The command that makes this audit again."""
    complete: bool
    """Whether nothing is missing and nothing failed."""
    missing: list[str]
    """Parts there was no time for; the same command resumes with them."""
    failures: list[Failure]
    """Parts that failed because the model raised an error."""
    warnings: list[str]
    """Reasons why the figures may mislead, in sentences. An audit with warnings exits with 3."""
    notes: list[str]
    """What the audit learnt about the model, and what it could not do, as sentences."""
    model: Model
    """The audited model."""
    data: Data
    """The real images."""
    judges: list[Judge]
    """The classifiers that tell gibberish from real images: by majority."""
    judge_accuracy: Share | None
    """Share of the test images that most judges read correctly; null without judges."""
    settings: AuditSettings
    """How much the audit was asked to do."""
    planned: AuditSettings
    """How much it does: what fits the budget."""
    reductions: list[str]
    """What it does less than it was asked, as sentences."""
    clean: Clean | None
    """How real images are read; null before they are."""
    thresholds: list[Threshold]
    """The thresholds `asked` and `own`; none before real images are read."""
    headlines: list[Headline]
    """All attacks together, for each box that was tried."""
    attacks: list[Attack]
    """Each attack from each start by itself."""
    curves: list[Curve]
    """Confidence against effort, for the attacks that were followed beyond the thresholds."""
    garbage: list[Garbage]
    """Each kind of garbage."""
    limits: list[Limit]
    """For each score the threshold that 95% of the validation images reach."""
    advice: Advice | None
    """The score to look at before trusting an answer; null before any garbage was scored."""
    resemblance: Resemblance | None
    """How like real images the fooling ones are; null before they are measured."""
    certificate: Certificate | None = None
    """What is proved; null where the audit was not asked to prove anything, or not yet."""
    seconds: float = Field(ge=0)
    """Time that all parts took, over all calls."""

    @field_validator("settings", "planned", mode="before")
    @classmethod
    def _all_of_them(cls, settings: Any) -> Any:
        given = settings.keys() if isinstance(settings, dict) else AuditSettings.model_fields
        # Earlier audits had all ways and starts, read all real images, and proved nothing.
        later = {"ways", "starts", "real_images", "certify"}
        if lacking := sorted(AuditSettings.model_fields.keys() - given - later):
            raise ValueError(f"expected all settings, found no {', '.join(lacking)}")
        return settings

    @model_validator(mode="after")
    def _each_once(self) -> "AuditReport":
        names = [each.name for each in self.thresholds]
        if sorted(names) not in ([], ["asked", "own"]) or (self.headlines and not names):
            raise ValueError(
                f"expected the thresholds asked and own, got {', '.join(names) or 'none'}"
            )
        for what, found in (
            ("headline of a box", [each.box for each in self.headlines]),
            ("kind of garbage", [each.kind for each in self.garbage]),
        ):
            if len(set(found)) < len(found):
                raise ValueError(f"expected one {what}, got {', '.join(found)}")
        return self

    @model_validator(mode="after")
    def _complete_or_not(self) -> "AuditReport":
        lacking = bool(self.missing or self.failures)
        if self.complete == lacking:
            named = "missing or failed parts" if lacking else "no missing or failed parts"
            raise ValueError(f"expected complete to be {not lacking} with {named}")
        parts = {"clean": self.clean, "headlines": self.headlines, "garbage": self.garbage}
        absent = [name for name, part in parts.items() if not part]
        if self.complete and absent:
            raise ValueError(f"expected all parts in a complete audit, found no {absent[0]}")
        return self

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """The model and the main figures: pytest shows a report that an assertion is about."""
        yield "model", self.model.name
        yield "worst_rate", self.worst_rate
        yield "complete", self.complete
        yield "warnings", self.warnings

    @property
    def headline(self) -> Headline | None:
        """The box that the verdict uses, whose attacks do better; None before any are done.

        In a tie, the one with fewer stalled candidates.
        """

        def success(headline: Headline) -> tuple[list[float], float]:
            rates = sorted((each.rate for each in headline.outcomes), reverse=True)
            return rates, -max(each.stalled or 0 for each in headline.outcomes)

        return max(self.headlines, key=success, default=None)

    def rate(self, threshold: Name) -> float | None:
        """The greatest gibberish rate of a box at a threshold; without judges, fooling rate."""
        return max(
            (headline.outcome(threshold).rate for headline in self.headlines),
            default=None,
        )

    @property
    def worst_rate(self) -> float | None:
        """The greater of the rates at both thresholds; None before any candidate was tried."""
        rates = (self.rate("asked"), self.rate("own"))
        return max((rate for rate in rates if rate is not None), default=None)

    def threshold(self, name: Name) -> Threshold | None:
        """The threshold of that name, once it is known."""
        return next((each for each in self.thresholds if each.name == name), None)

    def kind_of_garbage(self, kind: str) -> Garbage | None:
        """What was found of that kind of garbage, once it is known."""
        return next((each for each in self.garbage if each.kind == kind), None)


def read_report(path: Path) -> AuditReport:
    """Read an audit, of this schema version or an earlier one.

    Raises `InputError` when the file is missing or doesn't match the schema.

    >>> from pathlib import Path
    >>> import torch
    >>> import deceive
    >>> labels = torch.arange(200) % 2  # dark and bright images
    >>> images = 0.8 * labels[:, None, None, None] + 0.2 * torch.rand(200, 1, 8, 8)
    >>> def model(images):  # the brighter, the surer that it is class 1
    ...     logit = 40 * (images.mean((1, 2, 3)) - 0.5)
    ...     return torch.stack([torch.zeros_like(logit), logit], 1)
    >>> little = deceive.AuditSettings(
    ...     candidates=4, steps=10, curve_candidates=2, searched=2, queries=100, garbage_images=20
    ... )
    >>> data = (images, labels)
    >>> _ = deceive.audit(model, data, judge=None, settings=little, out="runs/mine")
    >>> deceive.auditing.read_report(Path("runs/mine/audit.json")).data.test_images
    40
    """
    content = read_json(path, "an audit.json")
    version = content.get("schema_version", VERSION)
    if isinstance(version, bool) or version not in (*EARLIER, VERSION):
        known = ", ".join(map(str, EARLIER))
        raise InputError(
            f"{path}: expected an audit of schema version {known} or {VERSION}, got {version!r}"
        )
    content = content if version == VERSION else upgraded(content, version)
    return checks.fits(AuditReport, content, str(path), "an audit.json")


def write_report(path: Path, report: AuditReport) -> None:
    """Write an `audit.json`. Raises `WriteError` when the file can't be written."""
    write_text(path, report.model_dump_json(indent=2) + "\n")


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `audit.json`, also in `docs/reference/audit.schema.json`.

    >>> import deceive
    >>> deceive.auditing.json_schema()["properties"]["seconds"]["description"]
    'Time that all parts took, over all calls.'
    """
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema: dict[str, Any] = _in_brief(AuditReport.model_json_schema())
    return dialect | schema


def _in_brief(schema: Any) -> Any:
    """A schema without titles, each description cut to one paragraph on one line."""
    if isinstance(schema, list):
        return [_in_brief(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    brief = {}
    for key, value in schema.items():
        if key == "description" and isinstance(value, str):
            brief[key] = " ".join(value.partition("\n\n")[0].split())
        elif key != "title" or not isinstance(value, str):
            brief[key] = _in_brief(value)
    return brief
