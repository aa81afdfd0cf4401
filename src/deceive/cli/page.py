"""The command `deceive page`: build the page and serve it."""

import sys
from dataclasses import dataclass

from deceive.cli.parsing import Command
from deceive.cli.screen import log, show


@dataclass(frozen=True)
class PageCommand(Command):
    """`deceive page`: its flags, and what it does."""

    port: int = 0
    """The port on 127.0.0.1; 0 for any free one."""
    open: bool = True
    """Open it in the browser."""
    build_only: bool = False
    """Only build web/dist, which any static host can serve."""
    json: bool = False
    """Print one JSON object on stdout as soon as the page is available."""

    def run(self) -> int:
        import webbrowser

        from deceive.webpage.build import build
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
