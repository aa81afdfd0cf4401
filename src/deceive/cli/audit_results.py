"""Printing an audit's results, as tables and sentences."""

from typing import Any

from rich.table import Table

from deceive.cli.screen import Screen, log


def say(report: Any, screen: Screen) -> None:
    """Print the results of an audit; failed and missing parts go to stderr."""
    from deceive.auditing.verdict import failures, still_to_come, verdict

    for warning in report.warnings:
        screen.print(f"Warning: {warning}", style="bold red")
    for table in _tables(report):
        screen.print(table)
    for sentence in verdict(report)[len(report.warnings) :]:
        screen.print(sentence)
    for note in report.notes:
        screen.print(f"Note: {note}")
    for failure in failures(report):
        log.print(f"failed: {failure}", style="bold red")
    if report.missing:
        log.print(f"not done yet: {still_to_come(report)}. The same command continues from here.")


def _tables(report: Any) -> list[Table]:
    """The judges, the headline, the garbage and the attacks, if there are any yet."""
    tables = []
    if report.judges:
        tables.append(_judges(report))
    if report.headlines:
        tables.append(_headline(report))
    if report.garbage:
        tables.append(_garbage(report))
    if report.attacks:
        tables.append(_attacks(report))
    return tables


def _judges(report: Any) -> Table:
    table = Table("judge", "test images it reads")
    for each in report.judges:
        table.add_row(each.name, _percent(each.accuracy, 2))
    if len(report.judges) > 1:
        table.add_row("majority", _percent(report.judge_accuracy, 2))
    return table


def _headline(report: Any) -> Table:
    from deceive.auditing.verdict import sure

    table = Table("box", "threshold", "real images pass", "fooled", "gibberish")
    for each in report.headlines:
        for threshold in report.thresholds:
            outcome = each.outcome(threshold.name)
            table.add_row(
                each.box,
                f"{threshold.name}, {sure(threshold.confidence)}",
                _percent(threshold.test_share),
                _percent(outcome.fooling_rate),
                _percent(outcome.gibberish_rate),
            )
    return table


def _garbage(report: Any) -> Table:
    from deceive.auditing.record.measured import KINDS
    from deceive.auditing.verdict import sure

    asked = sure(report.settings.confidence)
    table = Table("garbage", "mean confidence", f"≥ {asked}", "AUROC", "FPR at 95% TPR")
    for each in report.garbage:
        msp = each.scores.get("msp")
        table.add_row(
            KINDS[each.kind],
            _percent(each.mean_confidence),
            _percent(each.asked_share),
            "–" if msp is None else f"{msp.auroc:.3f}",
            "–" if msp is None else _percent(msp.fpr_at_95_tpr),
        )
    return table


def _attacks(report: Any) -> Table:
    table = Table("attack", "start", "candidates", "fooled", "gibberish", "median steps/queries")
    for each in report.attacks:
        outcome = each.outcomes[0]
        table.add_row(
            each.name,
            each.start,
            f"{outcome.candidates:,}",
            _percent(outcome.fooling_rate),
            _percent(outcome.gibberish_rate),
            "–" if outcome.median is None else f"{outcome.median:g}",
        )
    return table


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}%}"
