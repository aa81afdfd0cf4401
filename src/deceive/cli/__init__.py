"""The command line: parse, call, print.

Exit codes: 0 done; 1 not every candidate was fooled, or an audit found more gibberish than is
allowed; 2 bad input; 3 an audit is not complete or has warnings; 4 another of several processes is
gone; 130 interrupted.
"""

import sys
from typing import Annotated, Any

import tyro

from deceive.cli.audit import Audit, Leaderboard
from deceive.cli.images import Draw, Fool
from deceive.cli.networks import Export, Info, Train
from deceive.cli.pages import Page, Report
from deceive.cli.rounds import Rounds, chosen_rounds
from deceive.cli.screen import complain, log
from deceive.cli.study import Study
from deceive.errors import InputError, LostProcessError

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

# Commands whose work several processes can share.
_TOGETHER = (Train, Fool, Rounds, Draw)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["rounds"]:
            code = _run(chosen_rounds(arguments[1:]))
        else:
            code = _run(_command(arguments))
    except InputError as error:
        complain(str(error))
        code = 2
    except LostProcessError as error:
        complain(f"{error}; rounds go on from where they were last saved")
        code = 4
    except KeyboardInterrupt:
        log.print("deceive: interrupted; what was finished is kept", style="bold")
        code = 130
    sys.exit(code)


def _run(command: Any) -> int:
    """Run a command, together with the other processes if a launcher started some; its code.

    The main process alone speaks, but for errors.
    """
    from deceive import processes

    processes.join()
    here = processes.here()
    if here.count > 1 and not isinstance(command, _TOGETHER):
        raise InputError(
            f"{type(command).__name__.lower()}: expected one process, got {here.count}; train, "
            "fool, draw and rounds share their work among several"
        )
    log.quiet = not here.is_main
    code: int = command.run()
    processes.leave()
    return code


def _command(arguments: list[str]) -> Any:
    return tyro.cli(
        Command,
        prog="deceive",
        description="Deceive a digit classifier with static, and teach it that this was rubbish.",
        args=arguments,
    )
