"""Audits of many models, one a row, as a table in Markdown."""

from collections.abc import Sequence
from pathlib import Path

from deceive.auditing.record.measured import KINDS
from deceive.auditing.record.schema import AuditReport, read_report
from deceive.auditing.shares import percent, sure
from deceive.common import markdown
from deceive.common.errors import InputError
from deceive.common.files import read_errors, write_text
from deceive.storage.kinds import Row

_ASKED = 0.99

_ABOUT = """\
# How sure are classifiers of garbage?

One row per audit, made from `audit.json` files by {command}. To add a
row, audit your model (`deceive audit MODEL --budget none`) and add its `audit.json` to the command.
Rows are sorted by gibberish rate, lowest first: the greater of the rates at 0.99 and
at the model's own threshold, which 95% of the validation images that it reads
correctly reach. Audits with warnings, whose figures may be misleading, come last. *Passes* is the
share of real test images that get at least 0.99 in their own class: where few do, the rate at 0.99
says little.

Compare only audits of the same size and with the same judges; the last columns list both.

"""

_COLUMNS = (
    "model",
    "data",
    "test accuracy",
    "gibberish rate at 0.99",
    "passes",
    "gibberish rate at its own threshold",
    "its own threshold",
    "fooling rate at 0.99",
    "median steps",
    "mean confidence on optimised garbage",
    *(f"AUROC: {words}" for words in KINDS.values()),
    "seconds to train",
    "box: candidates, steps or queries",
    "judges",
)


def write_leaderboard(files: Sequence[Path], out: Path) -> list[Row]:
    """Write the table of these audits, and return its rows, each by the names of its columns.

    Args:
        files: `audit.json` files, or the folders that they are in.
        out: a Markdown file.

    Raises:
        InputError: when there are none, or one isn't an audit of this schema.
    """
    if not files:
        raise InputError("files: expected at least one audit.json, got none")
    reports = [_report(file) for file in files]
    for file, report in zip(files, reports, strict=True):
        if report.settings.confidence != _ASKED:
            raise InputError(
                f"{file}: expected an audit at confidence {_ASKED}, "
                f"got {report.settings.confidence}"
            )
    reports.sort(key=lambda report: (bool(report.warnings), _worst(report), report.model.name))
    rows = [dict(zip(_COLUMNS, _cells(report), strict=True)) for report in reports]
    command = markdown.code(f"deceive leaderboard FILES… --out {out.as_posix()}")
    cells = [[markdown.words(cell) for cell in row.values()] for row in rows]
    table = markdown.table(_COLUMNS, cells)
    write_text(out, f"{_ABOUT.format(command=command)}{table}\n")
    return [dict(row) for row in rows]


def _report(file: Path) -> AuditReport:
    with read_errors(file):
        is_folder = file.is_dir()
    return read_report(file / "audit.json" if is_folder else file)


def _worst(report: AuditReport) -> float:
    return 2.0 if report.worst_rate is None else report.worst_rate


def _cells(report: AuditReport) -> list[str]:
    headline, clean = report.headline, report.clean
    asked, own = report.threshold("asked"), report.threshold("own")
    optimised = report.kind_of_garbage("optimised")
    first = headline.outcome("asked") if headline else None
    second = headline.outcome("own") if headline else None
    effort = "–"
    if headline is not None and first is not None:
        done = report.planned
        limit = done.steps if headline.box == "white" else done.queries
        effort = f"{headline.box}: {first.candidates:,}, {limit:,}"
    scores = [report.kind_of_garbage(kind) for kind in KINDS]
    return [
        report.model.name + _reservations(report),
        report.data.name,
        percent(clean.accuracy if clean else None, 2),
        percent(first.gibberish_rate if first else None),
        percent(asked.test_share if asked else None),
        percent(second.gibberish_rate if second else None),
        sure(own.confidence) if own else "–",
        percent(first.fooling_rate if first else None),
        f"{first.median:g}" if first and first.median is not None else "–",
        percent(optimised.mean_confidence if optimised else None),
        *(
            f"{each.scores['msp'].auroc:.3f}" if each and "msp" in each.scores else "–"
            for each in scores
        ),
        f"{report.model.training_seconds:.0f}" if report.model.training_seconds else "–",
        effort,
        ", ".join(judge.name for judge in report.judges) or "none",
    ]


def _reservations(report: AuditReport) -> str:
    """Caveats for an audit's figures."""
    said = [
        *(["not complete"] if not report.complete else []),
        *(["with warnings"] if report.warnings else []),
        *(["fewer attacks"] if report.model.white_box and not report.planned.all_ways else []),
    ]
    return f" ({', '.join(said)})" if said else ""
