"""Commands that end in a page: a report of a run, and the one in the browser."""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from deceive.cli.parsing import Command
from deceive.cli.screen import log, show
from deceive.common.checks import counted


@dataclass(frozen=True)
class ReportCommand(Command):
    """`deceive report`: its flags, and what it does."""

    folder: tyro.conf.Positional[Path] = Path("runs/study")
    """The run folder."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.auditing.record.assemble import assemble
        from deceive.auditing.verdict import still_to_come
        from deceive.reporting.audit import write_audit_page
        from deceive.reporting.figures import rounds_pictures, study_pictures
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
        page = write_study_page(run)
        pictures = study_pictures(run)
        missing = missing_parts(run)
        show(
            f"{page}: " + (f"still to come: {'; '.join(missing)}" if missing else "all four parts"),
            {"report": str(page), "pictures": [str(path) for path in pictures], "missing": missing},
            self.json,
        )
        return 0


@dataclass(frozen=True)
class PageCommand(Command):
    """`deceive page`: its flags, and what it does."""

    port: int = 0
    """Where it is served on 127.0.0.1; 0 is any free port."""
    open: bool = True
    """Open it in the browser."""
    build_only: bool = False
    """Build web/dist, which any static host can serve, and stop there."""
    json: bool = False
    """Print one JSON object on stdout, as soon as the page is there."""

    def run(self) -> int:
        import webbrowser

        from deceive.webpage.page import build
        from deceive.webpage.serving import server

        folder = build(lambda stage: log.print(f"  {stage}"))
        if self.build_only:
            show(f"{folder}: built", {"folder": str(folder)}, self.json)
            return 0
        with server(folder, self.port) as serving:
            url = f"http://127.0.0.1:{serving.server_port}/"
            show(f"{url} (Ctrl+C ends it)", {"folder": str(folder), "url": url}, self.json)
            sys.stdout.flush()
            if self.open:
                webbrowser.open(url)
            try:
                serving.serve_forever()
            except KeyboardInterrupt:
                return 0
        return 0
