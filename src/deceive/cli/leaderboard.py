"""The command `deceive leaderboard`: a table of audits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from deceive.cli.parsing import Command
from deceive.cli.screen import show
from deceive.common.checks import counted


@dataclass(frozen=True)
class LeaderboardCommand(Command):
    """`deceive leaderboard`: its flags, and what it does."""

    files: Annotated[
        tyro.conf.Positional[tuple[Path, ...]],
        tyro.conf.arg(metavar="FILE …", help_behavior_hint="(required)"),
    ]
    """audit.json files, or the run folders that they are in."""
    out: Path = Path("leaderboard.md")
    """Where the table goes, as Markdown."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.auditing.leaderboard import write_leaderboard
        from deceive.common.files import check_writable

        check_writable(self.out)
        rows = write_leaderboard(self.files, self.out)
        said = f"{self.out}: {counted(len(rows), 'model')}"
        show(said, {"out": str(self.out), "rows": rows}, self.json)
        return 0
