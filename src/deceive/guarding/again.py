"""The command that makes a guarded classifier again."""

from collections.abc import Sequence
from pathlib import Path

from deceive.auditing.record.again import declared_flags
from deceive.auditing.record.rows import AUDIT, SubjectRow, typed_rows
from deceive.common.flags import command_line, flag, flags_of
from deceive.data.source import MNIST
from deceive.guarding.rows import AUDITS
from deceive.guarding.settings import USUAL, GuardSettings
from deceive.storage.kinds import Row
from deceive.storage.places import is_there
from deceive.storage.runs import Run

# Seconds for the audit behind the guard, if nothing else is asked for.
BUDGET = 240.0


def command_of(
    settings: Row, *, data: str | None = None, trust: bool = False, audits: Sequence[str] = ()
) -> str:
    """The command that makes it again.

    Args:
        settings: of its run.
        data: where the images are; by default the settings' name of their folder.
        trust: whether a file was opened whose format can run code.
        audits: the flags of its audits.

    >>> interface = {"scaling": None, "bounds": (0, 255)}
    >>> said = {"model": "mine.onnx", "data": "letters", "data_checksum": "1", "keep": 0.9}
    >>> command_of(said | {"use": None, "train": True, "interface": interface})
    'deceive guard mine.onnx --data letters --train --bounds 0 255 --keep 0.9'
    """
    words = [settings["model"]]
    if settings["data_checksum"] != MNIST.checksum:
        words += flag("data", data or settings["data"])
    if settings["use"] is not None:
        words += flag("use", settings["use"])
    if settings["train"]:
        words.append("--train")
    if trust:
        words.append("--trust")
    words += declared_flags("", settings["interface"])
    names = GuardSettings.model_fields.keys() & settings.keys()
    given = GuardSettings(**{name: settings[name] for name in names})
    return command_line("guard", *words, *flags_of(given, USUAL), *audits)


def audit_flags(folder: Path) -> list[str]:
    """The flags of the audits in the folder of a guarded classifier."""
    begun = [name for name in AUDITS if is_there(folder / name / "rows.jsonl")]
    if not begun:
        return ["--no-audits"]
    run = Run.open(folder / begun[-1]).of(AUDIT)
    words, judges = [], run.settings["judges"]
    for row in typed_rows(run):
        if isinstance(row, SubjectRow):
            if row.again.other_data is not None:
                words += flag("other-data", row.again.other_data)
            if row.planned.budget != BUDGET:
                words += flag("budget", row.planned.budget or "none")
    if not judges:
        words += flag("judge", "none")
    elif not any(judge == "auto" or Path(judge).is_relative_to(folder) for judge in judges):
        words += ["--judge", *judges]
    return words
