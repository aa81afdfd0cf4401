"""An audit in Markdown: what a pull request or the page of a workflow shows."""

from pathlib import Path

from deceive.auditing.record.schema import AuditReport
from deceive.auditing.tables import garbage_table, headline_table
from deceive.auditing.verdict import did_less, failures, still_to_come, verdict
from deceive.common.files import write_errors, write_text
from deceive.common.markdown import code, table, words
from deceive.reporting.exports.checks import kind_of_rate, over

# As many sentences of the verdict are in the summary, and the last one, which is its accuracy; the
# page has them all.
_SENTENCES = 3

_WORDS = """\
Threshold: the confidence that counts as sure; “its own” is what 95% of the correctly read
validation images reach. Fooled: the share of candidates, images optimised for a class, of whose
class it is that sure. Gibberish: the same, counting only images in which most judges don't see that
class. AUROC: the chance that it is surer of a real image than of the garbage; 0.5 is guessing."""


def write_summary(path: Path, report: AuditReport, limit: float | None = None) -> None:
    """Write an audit's summary in Markdown.

    Args:
        path: where to write it.
        report: what the audit found.
        limit: the greatest allowed rate, in [0, 1]; None allows any.

    Raises:
        WriteError: when the file can't be written.
    """
    write_text(path, summary(report, limit))


def append_summary(path: Path, report: AuditReport, limit: float | None = None) -> None:
    """Append it to a file, as GitHub wants it for a step. Arguments and errors as above."""
    with write_errors(path), path.open("a", encoding="utf-8") as file:
        file.write(summary(report, limit))


def summary(report: AuditReport, limit: float | None = None) -> str:
    """The summary: what it came to, the verdict's first sentences, tables, notes, the command."""
    sentences = verdict(report)[len(report.warnings) :]
    if report.clean is not None:
        sentences = [*sentences[:-1][:_SENTENCES], sentences[-1]]
    blocks = [
        f"## How sure is {words(report.model.name)} of garbage?",
        _outcome(report, limit),
        *(f"> **Warning.** {words(each)}" for each in report.warnings),
        words(did_less(report)),
        " ".join(map(words, sentences)),
        *(
            table(each.columns, [[words(cell) for cell in row] for row in each.rows])
            for each in (headline_table(report), garbage_table(report))
            if each.rows
        ),
        *([_WORDS.replace("\n", " ")] if report.headlines and report.garbage else []),
        "\n".join(f"- {words(each)}" for each in _remarks(report)),
        f"{code(report.command)} made this audit, in {report.seconds:.0f} s of work.",
    ]
    return "\n\n".join(each for each in blocks if each) + "\n"


def _outcome(report: AuditReport, limit: float | None) -> str:
    """One line that says how the audit ended, as the exit code does."""
    if reason := over(report, report.worst_rate, limit):
        return f"**Failed:** {words(reason)}."
    if not report.complete:
        return "**Not complete:** parts of the audit are missing or failed."
    if report.warnings:
        return "**Doubtful:** the figures may be misleading."
    if limit is None:
        return ""
    return f"**Passed:** the {kind_of_rate(report)} is at most {limit:.1%} at both thresholds."


def _remarks(report: AuditReport) -> list[str]:
    """Notes, failed parts and missing parts."""
    missing = still_to_come(report)
    return [
        *report.notes,
        *(f"Failed: {each}" for each in failures(report)),
        *([f"Not done: {missing}."] if missing else []),
    ]
