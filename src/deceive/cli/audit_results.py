"""Printing an audit's results, as tables and sentences."""

from pathlib import Path
from typing import Any

from rich.table import Table

from deceive.cli.screen import Screen, log


def say(report: Any, folder: Path, screen: Screen) -> None:
    """Print the results of an audit; failed and missing parts go to stderr."""
    from deceive.auditing.tables import tables_of
    from deceive.auditing.verdict import did_less, failures, still_to_come, verdict

    for warning in report.warnings:
        screen.print(f"Warning: {warning}", style="bold red")
    for note in report.notes:
        screen.print(f"Note: {note}")
    for columns, rows in tables_of(report):
        table = Table(*columns)
        for row in rows:
            table.add_row(*row)
        screen.print(table)
    for sentence in verdict(report, folder)[len(report.warnings) :]:
        screen.print(sentence)
    if less := did_less(report):
        screen.print(less)
    for failure in failures(report):
        log.print(f"failed: {failure}", style="bold red")
    if report.missing:
        log.print(f"not done yet: {still_to_come(report)}. The same command continues from here.")
