"""How to apply an audit's advice in Python, in words."""

import json
from pathlib import Path

from deceive.auditing.record.measured import OF_FEATURES
from deceive.auditing.record.schema import AuditReport


def applied(report: AuditReport, folder: Path | None) -> list[str]:
    """The lines of Python that apply the advice, in a sentence; none without advice or a folder."""
    if report.advice is None or folder is None:
        return []
    outputs = report.model.answers.replace("-", "_")
    if report.advice.limit.score in OF_FEATURES:
        call = f"gate({outputs}, features)"
        what = "; its features are what goes into its last linear layer"
    else:
        call, what = f"gate({outputs})", ""
    return [
        f"In Python, gate = deceive.auditing.Gate({_place(folder)}) loads this score and its "
        f"threshold, and {call} says which answers to trust{what}."
    ]


def _place(folder: Path) -> str:
    """The folder as Python writes it, from here if it is below."""
    whole, here = folder.absolute(), Path.cwd()
    place = whole.relative_to(here) if whole.is_relative_to(here) else whole
    return json.dumps(place.as_posix(), ensure_ascii=False)
