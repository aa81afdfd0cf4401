"""The commands, and the parser of command lines."""

from typing import Annotated, Any

import tyro

from deceive.cli.audit import Audit, Leaderboard
from deceive.cli.images import Draw, Fool
from deceive.cli.networks import Export, Info, Train
from deceive.cli.pages import Page, Report
from deceive.cli.rounds import Rounds, chosen_rounds
from deceive.cli.study import Study
from deceive.common.errors import InputError

Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Fool, tyro.conf.subcommand("fool")]
    | Annotated[Study, tyro.conf.subcommand("study")]
    | Annotated[Rounds, tyro.conf.subcommand("rounds")]
    | Annotated[Draw, tyro.conf.subcommand("draw")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[Leaderboard, tyro.conf.subcommand("leaderboard")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Page, tyro.conf.subcommand("page")]
    | Annotated[Info, tyro.conf.subcommand("info")]
)

# Commands that several processes can share.
TOGETHER = (Train, Fool, Rounds, Draw)

_ABOUT = (
    "Deceive a digit classifier with static, and teach it that this was rubbish. "
    "deceive --version prints the version."
)


def parse(arguments: list[str]) -> Any:
    """Parse a command line into a command; its `run()` returns the exit code.

    Raises:
        InputError: for a setting that is out of range.
        SystemExit: 0 after help or the version, 2 after a syntax error.
    """
    for each in arguments:
        if each != each.encode("utf-8", "ignore").decode("utf-8"):
            raise InputError(f"command line: expected UTF-8, got {each!r}")
    if arguments == ["--version"]:
        from deceive.common.version import __version__

        print(f"deceive {__version__}")
        raise SystemExit(0)
    if arguments[:1] == ["rounds"]:
        return chosen_rounds(arguments[1:])
    return tyro.cli(
        Command,
        prog="deceive",
        description=_ABOUT,
        args=arguments or ["--help"],
    )
