"""A classifier before and behind its guard, side by side, as text."""

from typing import Literal

from deceive.auditing.record.measured import KINDS, Attack, Garbage, Name, Outcome
from deceive.auditing.record.rows import Attacked
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import counted_share, percent, sure
from deceive.auditing.tables import Table

Row = tuple[str, ...]

_BOTH = ("before", "behind the guard")

STARTS = {
    "uniform": "uniform noise",
    "gaussian": "gaussian noise",
    "smooth": "smooth noise",
    "blank": "a blank image",
    "squares": "overlapping squares",
    "real": "another real image",
    "search": "a search",
}
"""Starts of attacks, in words."""


def tables_of_both(before: AuditReport, after: AuditReport) -> list[Table]:
    """Real images, attacks and garbage, as far as known: each table has a column for both."""
    gibberish = "gibberish" if before.judges and after.judges else "fooled"
    asked = sure(before.settings.confidence)
    made = (
        Table(("test images", *_BOTH), _real(before, after)),
        Table((f"{gibberish} at {asked}, worst attack", *_BOTH), _attacks(before, after, "asked")),
        Table((f"{gibberish} at its own threshold", *_BOTH), _attacks(before, after, "own")),
        Table(("AUROC of its confidence", *_BOTH), _garbage(before, after, "auroc")),
        Table(("garbage that passes with 95% of real", *_BOTH), _garbage(before, after, "fpr")),
    )
    return [table for table in made if table.rows]


def _real(before: AuditReport, after: AuditReport) -> list[Row]:
    """How real images are read, and how many are kept."""
    rows = []
    if before.clean and after.clean:
        accuracies = [each.clean.class_accuracy for each in (before, after) if each.clean]
        rows.append(("read correctly", *(percent(each, 2) for each in accuracies)))
    by_name = [{each.name: each for each in report.thresholds} for report in (before, after)]
    if all(by_name):
        asked = sure(before.settings.confidence)
        shares = (percent(each["asked"].reached) for each in by_name)
        rows.append((f"at least {asked} sure", *shares))
        own = (sure(each["own"].confidence) for each in by_name)
        rows.append(("its own threshold", *own))
    return rows


def _attacks(before: AuditReport, after: AuditReport, name: Name) -> list[Row]:
    """The worst attack from each start at a threshold."""
    rows = []
    for start, words in STARTS.items():
        found = [worst_outcome(report, start, name) for report in (before, after)]
        if any(found):
            rows.append((f"from {words}", *map(_rate, found)))
    return rows


def _rate(outcome: Outcome | None) -> str:
    return "–" if outcome is None else counted_share(outcome.rate, outcome.candidates)


def worst(report: AuditReport, start: str, name: Name) -> float | None:
    """The greatest rate of all attacks from a start, one of `STARTS`; None if none was tried."""
    outcome = worst_outcome(report, start, name)
    return None if outcome is None else outcome.rate


def worst_outcome(report: AuditReport, start: str, name: Name) -> Outcome | None:
    """The outcome of the attack with that rate."""
    outcomes = [
        outcome
        for attack in report.attacks
        if start_of(attack) == start
        for outcome in attack.outcomes
        if outcome.threshold == name
    ]
    return max(outcomes, key=lambda each: each.rate, default=None)


def start_of(attack: Attack | Attacked) -> str:
    """Where an attack begins: a name of `STARTS`."""
    return "search" if attack.box == "black" else attack.start


def _garbage(before: AuditReport, after: AuditReport, figure: Literal["auroc", "fpr"]) -> list[Row]:
    """How well the confidence tells each kind of garbage from real images."""
    earlier = {each.kind: each for each in before.garbage}
    return [
        (KINDS[each.kind], _figure(earlier[each.kind], figure), _figure(each, figure))
        for each in after.garbage
        if each.kind in earlier and each.images
    ]


def _figure(garbage: Garbage, figure: Literal["auroc", "fpr"]) -> str:
    score = garbage.scores.get("msp")
    if score is None:
        return percent(None)
    return f"{score.auroc:.3f}" if figure == "auroc" else percent(score.fpr_at_95_tpr)
