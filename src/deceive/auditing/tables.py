"""The tables of an audit's results, as text, for the screen and for files."""

from collections.abc import Sequence
from typing import NamedTuple

from deceive.auditing.record.measured import KINDS
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import percent
from deceive.auditing.verdict import sure


class Table(NamedTuple):
    """A table of text."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def tables_of(report: AuditReport) -> list[Table]:
    """The judges, the headline, the garbage and the attacks, as far as they are known."""
    tables = [judge_table(report), headline_table(report), garbage_table(report)]
    return [each for each in (*tables, attack_table(report)) if each.rows]


def judge_table(report: AuditReport) -> Table:
    """How many real images each judge reads, and most of them together."""
    rows = [(each.name, percent(each.accuracy, 2)) for each in report.judges]
    if len(rows) > 1:
        rows.append(("majority", percent(report.judge_accuracy, 2)))
    return Table(("judge", "test images it reads"), rows)


def headline_table(report: AuditReport) -> Table:
    """All attacks of each box together, at each threshold."""
    rows = []
    for each in report.headlines:
        for threshold in report.thresholds:
            outcome = each.outcome(threshold.name)
            rows.append(
                (
                    each.box,
                    f"{threshold.name}, {sure(threshold.confidence)}",
                    percent(threshold.test_share),
                    percent(outcome.fooling_rate),
                    percent(outcome.gibberish_rate),
                )
            )
    return Table(("box", "threshold", "real images pass", "fooled", "gibberish"), rows)


def garbage_table(report: AuditReport) -> Table:
    """What the model says of each kind of garbage."""
    rows = []
    for each in report.garbage:
        msp = each.scores.get("msp")
        rows.append(
            (
                KINDS[each.kind],
                percent(each.mean_confidence),
                percent(each.asked_share),
                "–" if msp is None else f"{msp.auroc:.3f}",
                "–" if msp is None else percent(msp.fpr_at_95_tpr),
            )
        )
    asked = sure(report.settings.confidence)
    return Table(("garbage", "mean confidence", f"≥ {asked}", "AUROC", "FPR at 95% TPR"), rows)


def attack_table(report: AuditReport) -> Table:
    """Each attack from each start, at the asked threshold."""
    rows = []
    for each in report.attacks:
        outcome = each.outcomes[0]
        rows.append(
            (
                each.name,
                each.start,
                f"{outcome.candidates:,}",
                percent(outcome.fooling_rate),
                percent(outcome.gibberish_rate),
                "–" if outcome.median is None else f"{outcome.median:g}",
            )
        )
    columns = ("attack", "start", "candidates", "fooled", "gibberish", "median steps/queries")
    return Table(columns, rows)
