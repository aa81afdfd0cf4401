"""The commands, and how a command line becomes one."""

import importlib
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Union

import tyro

from deceive.cli.parsing import Command, parsed
from deceive.common.errors import InputError


class Entry(NamedTuple):
    """A command before it is imported: that is slow, as the settings' classes bring torch."""

    module: str
    """Of `deceive.cli`."""
    name: str
    """The class."""
    about: str
    """What it does, for its help."""

    def load(self) -> type[Command]:
        """Import the class."""
        found: type[Command] = getattr(
            importlib.import_module(f"deceive.cli.{self.module}"), self.name
        )
        return found


COMMANDS = {
    "train": Entry(
        "networks",
        "TrainCommand",
        "Train a classifier on clean digits, and write its weights and its card.",
    ),
    "fool": Entry(
        "images",
        "FoolCommand",
        "Optimise images until a network takes them for digits. Writes a PNG, or an .npz of "
        "arrays.",
    ),
    "study": Entry(
        "study",
        "StudyCommand",
        "The whole case study: train, deceive, teach rubbish, deceive again. Resumes by itself.",
    ),
    "rounds": Entry(
        "rounds",
        "RoundsCommand",
        "Deceive, teach that it was rubbish, and again. Resumes by itself.",
    ),
    "draw": Entry(
        "images",
        "DrawCommand",
        "Draw digits from noise by deceiving a network of the rounds. Writes a PNG, or an .npz.",
    ),
    "audit": Entry(
        "audit",
        "AuditCommand",
        "How sure is your classifier of garbage? Ends with a page. Resumes by itself.",
    ),
    "leaderboard": Entry(
        "audit", "LeaderboardCommand", "A table of audits, from their audit.json files."
    ),
    "report": Entry(
        "pages",
        "ReportCommand",
        "Write the page of a study, rounds or an audit again, from its folder, finished or not.",
    ),
    "export": Entry(
        "networks",
        "ExportCommand",
        "Write a network as an ONNX graph, for programs without torch, with its input gradient "
        "too.",
    ),
    "page": Entry(
        "pages",
        "PageCommand",
        "Build the page if it is out of date, serve it on this machine alone, and open it.",
    ),
    "info": Entry("networks", "InfoCommand", "What is installed, and which networks are shipped."),
}

_ABOUT = (
    "Deceive a digit classifier with static, and teach it that this was rubbish. "
    "deceive --version prints the version."
)


@dataclass
class _Named:
    """Stands for a command in the list of them."""


def parse(arguments: list[str]) -> Command:
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
    if arguments and arguments[0] in COMMANDS:
        name, *rest = arguments
        return parsed(COMMANDS[name].load(), name, COMMANDS[name].about, rest)
    _explain(arguments)
    raise SystemExit(2)


def _explain(arguments: list[str]) -> None:
    """Print the list of commands, or what is wrong with a line that names none of them."""
    named = [
        Annotated[_Named, tyro.conf.subcommand(name, description=entry.about)]
        for name, entry in COMMANDS.items()
    ]
    any_of_them: Any = Union[tuple(named)]  # noqa: UP007
    tyro.cli(
        any_of_them,
        prog="deceive",
        description=_ABOUT,
        args=arguments or ["--help"],
    )
