"""What an audit checks, one by one, each with its figures: test cases for JUnit and pytest."""

from dataclasses import dataclass, field
from typing import Literal

from deceive.auditing.record.measured import KINDS, Garbage, Name
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import percent, sure
from deceive.auditing.verdict import failures, still_to_come

Status = Literal["passed", "failed", "error", "skipped"]


@dataclass(frozen=True)
class Check:
    """A test case."""

    key: str
    """A short name that is the same for every audit."""
    name: str
    """What it checks, in words."""
    status: Status = "passed"
    """`failed`: the model is surer of garbage than allowed. `error`: the audit could not tell.
    `skipped`: not measured, or not yet."""
    reason: str = ""
    """Why it didn't pass; empty if it did."""
    figures: dict[str, str] = field(default_factory=dict)
    """What was measured, by name."""


KEYS = (
    "real-images",
    "rate-asked",
    "rate-own",
    "complete",
    "warnings",
    *(f"garbage-{kind}" for kind in KINDS if kind != "other data"),
)
"""The keys of the checks of every audit; those with images of other things have one more."""

_AT: dict[Name, str] = {"asked": "the asked threshold", "own": "its own threshold"}


def checks_of(report: AuditReport, limit: float | None = None) -> list[Check]:
    """The checks of an audit, finished or not; of the kinds of garbage those that were measured.

    Args:
        report: what the audit found.
        limit: the greatest allowed gibberish rate (without judges: fooling rate) at either
            threshold, in [0, 1]; None allows any.
    """
    return [
        _real_images(report),
        *(_rate(report, name, limit) for name in _AT),
        _complete(report),
        _warnings(report),
        *map(_garbage, report.garbage),
    ]


def parts_of(report: AuditReport) -> list[Check]:
    """The parts that failed, as errors, and those there was no time for, as skipped."""
    failed = [Check("part", each.part, "error", each.reason) for each in report.failures]
    missing = [
        Check("part", each, "skipped", "there was no time for it") for each in report.missing
    ]
    return failed + missing


def kind_of_rate(report: AuditReport) -> str:
    """What the rates of this audit are: gibberish rate, or without judges fooling rate."""
    return "gibberish rate" if report.judges else "fooling rate"


def over(report: AuditReport, rate: float | None, limit: float | None) -> str:
    """A sentence if a rate is greater than allowed; empty otherwise."""
    if rate is None or limit is None or rate <= limit:
        return ""
    digits = 1 if percent(rate) != percent(limit) else 4
    return f"{kind_of_rate(report)} {percent(rate, digits)}, more than {percent(limit, digits)}"


def _real_images(report: AuditReport) -> Check:
    key, name = "real-images", "real images are read"
    if report.clean is None:
        return Check(key, name, "skipped", "not measured")
    figures = {
        "accuracy on test images": percent(report.clean.accuracy, 2),
        "accuracy on validation images": percent(report.clean.validation_accuracy, 2),
        "mean confidence": percent(report.clean.mean_confidence),
        "expected calibration error": percent(report.clean.calibration_error),
        "test images": f"{report.data.test_images:,}",
    }
    return Check(key, name, figures=figures)


def _rate(report: AuditReport, at: Name, limit: float | None) -> Check:
    key, name = f"rate-{at}", f"{kind_of_rate(report)} at {_AT[at]}"
    rate, threshold = report.rate(at), report.threshold(at)
    if rate is None or threshold is None:
        return Check(key, name, "skipped", "not measured")
    figures = {
        kind_of_rate(report): percent(rate),
        "allowed": "any" if limit is None else percent(limit),
        "threshold": sure(threshold.confidence),
        "real images that reach it": percent(threshold.any_class_share),
        "real images that reach it with their own class": percent(threshold.test_share),
    }
    for each in report.headlines:
        outcome = each.outcome(at)
        figures |= {
            f"{each.box} box, candidates": f"{outcome.candidates:,}",
            f"{each.box} box, fooled": percent(outcome.fooling_rate),
            f"{each.box} box, gibberish": percent(outcome.gibberish_rate),
        }
    reason = over(report, rate, limit)
    return Check(key, name, "failed" if reason else "passed", reason, figures)


def _garbage(found: Garbage) -> Check:
    figures = {
        "images": f"{found.images:,}",
        "mean confidence": percent(found.mean_confidence),
        "at least the asked threshold": percent(found.asked_share),
        "at least its own threshold": percent(found.own_share),
    }
    figures |= {f"AUROC, {score}": f"{each.auroc:.3f}" for score, each in found.scores.items()}
    key = f"garbage-{found.kind.replace(' ', '-')}"
    return Check(key, f"garbage: {KINDS[found.kind]}", figures=figures)


def _complete(report: AuditReport) -> Check:
    missing = still_to_come(report)
    reasons = [*failures(report), *([f"not done: {missing}"] if missing else [])]
    status: Status = "error" if reasons else "passed"
    return Check("complete", "the audit is complete", status, "; ".join(reasons))


def _warnings(report: AuditReport) -> Check:
    reason = " ".join(report.warnings)
    return Check("warnings", "no warnings", "error" if reason else "passed", reason)
