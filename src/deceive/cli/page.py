"""The command `deceive page`: build the page and serve it."""

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deceive.cli.parsing import Command
from deceive.cli.screen import log, show
from deceive.common import checks

if TYPE_CHECKING:
    from deceive.webpage.serving import Later


@dataclass(frozen=True)
class PageCommand(Command):
    """`deceive page`: its flags, and what it does."""

    port: int = 0
    """The port on 127.0.0.1; 0 for any free one."""
    open: bool = True
    """Open it in the browser."""
    build_only: bool = False
    """Only build web/dist, which any static host can serve; needs a clone."""
    json: bool = False
    """Print one JSON object on stdout as soon as the page is available."""

    def run(self) -> int:
        from deceive.webpage.build import build
        from deceive.webpage.installed import page

        checks.at_least("--port", self.port, 0, below=2**16)  # before the page is built
        if self.build_only:
            folder = build(_report)
            show(f"{folder}: built", {"folder": str(folder)}, self.json)
            return 0
        with page(_report) as (folder, later):
            self._serve(folder, later)
        return 0

    def _serve(self, folder: Path, later: "Later") -> None:
        import webbrowser

        from deceive.webpage.serving import server

        with server(folder, self.port, later=later, failed=_report) as serving:
            url = f"http://127.0.0.1:{serving.server_port}/"
            show(f"{url} (Ctrl+C ends it)", {"folder": str(folder), "url": url}, self.json)
            sys.stdout.flush()
            if self.open:
                webbrowser.open(url)
            with suppress(KeyboardInterrupt):
                serving.serve_forever()


def _report(stage: str) -> None:
    log.print(f"  {stage}")
