"""The command `deceive report`: write the page of a run again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from deceive.cli.parsing import Command
from deceive.cli.screen import show
from deceive.common.checks import counted


@dataclass(frozen=True)
class ReportCommand(Command):
    """`deceive report`: its flags, and what it does."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="[FOLDER]")] = Path(
        "runs/study"
    )
    """The run folder."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.auditing.record.assemble import assemble
        from deceive.auditing.verdict import still_to_come
        from deceive.reporting.audit import write_audit_page
        from deceive.reporting.figures import rounds_pictures, study_pictures
        from deceive.reporting.guard import write_guard_page
        from deceive.reporting.rounds import write_rounds_page
        from deceive.reporting.study import missing_parts, write_study_page
        from deceive.storage.runs import Run

        run = Run.open(self.folder)
        if run.word == "rounds":
            pictures, page = rounds_pictures(run), write_rounds_page(run)
            said = {"report": str(page), "pictures": [str(path) for path in pictures]}
            show(f"{page}: {counted(len(run.rows()), 'row')}", said, self.json)
            return 0
        if run.word == "audit":
            page, found = write_audit_page(run), assemble(run)
            left = f"still to come: {still_to_come(found)}" if found.missing else "all parts"
            show(f"{page}: {left}", {"report": str(page), "missing": found.missing}, self.json)
            return 0
        if run.word == "guard":
            page = write_guard_page(run)
            show(f"{page}: the guarded classifier", {"report": str(page)}, self.json)
            return 0
        page = write_study_page(run)
        pictures = study_pictures(run)
        missing = missing_parts(run)
        show(
            f"{page}: " + (f"still to come: {'; '.join(missing)}" if missing else "all four parts"),
            {"report": str(page), "pictures": [str(path) for path in pictures], "missing": missing},
            self.json,
        )
        return 0
