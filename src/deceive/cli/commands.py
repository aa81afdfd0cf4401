"""The list of commands, and parsing a command line into one of them."""

import importlib
from dataclasses import dataclass
from typing import Annotated, Any, Union

import tyro

from deceive.cli.parsing import Command, parsed
from deceive.common.checks import meant
from deceive.common.errors import InputError

COMMANDS = {
    "train": "Train a classifier on your images, by default MNIST's digits; write its weights and "
    "its card.",
    "fool": "Optimise images until a network takes them for the classes you ask for; write a PNG, "
    "or an .npz of arrays.",
    "study": "Run the whole case study: train, deceive, teach rubbish, deceive again. Run it "
    "again to resume.",
    "rounds": "Play rounds: deceive a network, teach it that this was rubbish, repeat. Run it "
    "again to resume.",
    "draw": "Draw images from noise, by default digits, by deceiving a network of the rounds; "
    "write a PNG, or an .npz.",
    "audit": "Measure how sure a classifier is of garbage, and write a report. Run it again to "
    "resume.",
    "guard": "Put a guard in front of a classifier, so that garbage doesn't pass, and audit it "
    "before and after. Run it again to resume.",
    "leaderboard": "Make a table of audits from their audit.json files.",
    "report": "Write the page of a study, of rounds or of an audit again, finished or not.",
    "export": "Write a network as an ONNX graph for programs without torch, with its input "
    "gradient if asked. It needs the extra deceive[onnx].",
    "page": "Build the page if it is out of date, serve it on this machine only, and open it.",
    "info": "Show what is installed: the shipped networks, or one network in detail.",
}
"""Each command with what it does. `deceive.cli.NAME` has its class, `NameCommand`."""

_ABOUT = (
    "Deceive an image classifier with static, and teach it that this was rubbish. "
    "deceive --version prints the version."
)


def _loaded(name: str) -> type[Command]:
    """The class of a command, imported late because its settings import torch, which is slow."""
    module = importlib.import_module(f"deceive.cli.{name}")
    found: type[Command] = getattr(module, f"{name.capitalize()}Command")
    return found


@dataclass
class _Named:
    """Stands for a command in the list of commands."""


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
        return parsed(_loaded(name), name, COMMANDS[name], rest)
    if arguments and not arguments[0].startswith("-"):
        near = meant(arguments[0], COMMANDS) or "; deceive --help lists them"
        raise InputError(f"expected a command, got {arguments[0]!r}{near}")
    _explain(arguments)
    raise SystemExit(2)


def _explain(arguments: list[str]) -> None:
    """Print the list of commands, or the error for a line that names none of them."""
    named = [
        Annotated[_Named, tyro.conf.subcommand(name, description=about)]
        for name, about in COMMANDS.items()
    ]
    any_of_them: Any = Union[tuple(named)]  # noqa: UP007
    tyro.cli(
        any_of_them,
        prog="deceive",
        description=_ABOUT,
        args=arguments or ["--help"],
    )
