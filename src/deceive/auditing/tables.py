"""The tables of an audit's results, as text, for the screen and for files."""

from collections.abc import Sequence
from typing import NamedTuple

from deceive.auditing.advising import limit_in_words
from deceive.auditing.proofs_in_words import proof_columns, proof_rows
from deceive.auditing.record.advice import options
from deceive.auditing.record.measured import KINDS, SCORES, THRESHOLDS
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import percent, sure
from deceive.auditing.verdict import is_meaningless


class Table(NamedTuple):
    """A table of text."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def tables_of(report: AuditReport) -> list[Table]:
    """The judges, the headline, the garbage, its scores and what is proved, as far as known."""
    made_by = (judge_table, headline_table, garbage_table, score_table, proof_table)
    return [table for make in made_by if (table := make(report)).rows]


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
                    f"{each.box} box",
                    f"{sure(threshold.confidence)}, {THRESHOLDS[threshold.name]}",
                    percent(threshold.any_class_share),
                    percent(threshold.test_share),
                    percent(outcome.fooling_rate),
                    *([percent(outcome.gibberish_rate)] if report.judges else []),
                )
            )
    reach = ("real images that reach it", "with their own class")
    gibberish = ["gibberish"] if report.judges else []
    return Table(("attacks", "threshold", *reach, "fooled", *gibberish), rows)


def garbage_table(report: AuditReport) -> Table:
    """What the model says about each kind of garbage."""
    rows = []
    for each in report.garbage:
        if not each.images:
            continue  # no curve ended at gibberish
        msp = each.scores.get("msp")
        rows.append(
            (
                KINDS[each.kind],
                percent(each.mean_confidence),
                percent(each.asked_share),
                "–" if msp is None else f"{msp.auroc:.3f}",
            )
        )
    asked = sure(report.settings.confidence)
    columns = ("garbage", "mean confidence", f"at least {asked} sure", "AUROC of its confidence")
    return Table(columns, rows)


def proof_table(report: AuditReport) -> Table:
    """For how much of each kind of garbage it is proved that nothing near it gets the threshold."""
    return Table(proof_columns(report), proof_rows(report))


def score_table(report: AuditReport) -> Table:
    """For each score its threshold, and how much it keeps and stops; an arrow recommends one."""
    rows = []
    for each in [] if is_meaningless(report) else options(report.limits, report.garbage):
        advised = report.advice is not None and each.limit == report.advice.limit
        rows.append(
            (
                ("→ " if advised else "") + SCORES[each.limit.score],
                limit_in_words(each.limit),
                percent(each.limit.test_share),
                percent(each.mean),
                percent(each.stopped[each.worst]),
            )
        )
    return Table(
        ("score", "answer", "test images kept", "garbage stopped", "worst kind stopped"), rows
    )
