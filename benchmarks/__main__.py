"""Hold contests, write their rows, and make the table and the pictures from rows alone."""

import inspect
import sys
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from benchmarks import table
from benchmarks.contest import HERE, read, write
from benchmarks.registry import CONTESTS, Contest

_KEPT = HERE / "results"


@dataclass(frozen=True)
class Command:
    """What every command takes."""

    quick: bool = False
    """Tiny sizes, to see that it runs; its figures mean nothing."""
    out: Path | None = None
    """The folder for rows and table; by default benchmarks/results, or quick in it."""

    @property
    def folder(self) -> Path:
        """Where rows and table go."""
        return self.out or _KEPT / ("quick" if self.quick else "")


@dataclass(frozen=True)
class All(Command):
    """All contests but those that take hours; with --quick those too."""


@dataclass(frozen=True)
class Table(Command):
    """Only the table and the pictures again, from the rows on disk."""


@dataclass(frozen=True)
class Resumable(Command):
    """What a contest that takes hours takes too."""

    resume: bool = False
    """Keep the rows on disk, and measure only what is missing."""


def main(arguments: list[str]) -> None:
    """Do what a command line asks for; without a contest in it, hold all of them.

    Prints the table, or only the section of the contest that it names.
    """
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["all", *arguments]
    command = tyro.cli(
        _commands(quick="--quick" in arguments),
        prog="python -m benchmarks",
        description=f"{__doc__} Without a contest: all but those that take hours.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    of_one = None
    for name, contest in CONTESTS.items():
        if isinstance(command, All) and (command.quick or not contest.long):
            plan = contest.module.QUICK if command.quick else contest.module.Plan()
            hold(name, contest, plan, command.folder)
        elif hasattr(command, name):
            resume = isinstance(command, Resumable) and command.resume
            plan = getattr(command, name)
            hold(name, contest, plan, command.folder, resume=resume)
            of_one = table.section(command.folder, contest, contest.stem(name, plan))
    is_kept = command.folder == HERE / "results"
    whole = table.make(
        command.folder, pictures=HERE.parent / "images" if is_kept else command.folder
    )
    print(whole if of_one is None else of_one)


def hold(name: str, contest: Contest, plan: Any, folder: Path, *, resume: bool = False) -> None:
    """Hold a contest, and write its rows into a folder whenever there are more of them."""
    stem = contest.stem(name, plan)
    earlier = (read(folder, stem) if resume else None,) if contest.long else ()
    for result in contest.module.run(plan, *earlier):
        write(folder, stem, result)


def _commands(*, quick: bool) -> Any:
    """A type for tyro: one of the commands, each contest's with a flag for each of its sizes."""
    contests = [
        make_dataclass(
            name,
            [(name, Annotated[module.Plan, tyro.conf.arg(name="")], _usual(module, quick))],
            bases=(Resumable if contest.long else Command,),
            namespace={"__doc__": inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0]},
            frozen=True,
        )
        for name, contest in CONTESTS.items()
        for module in (contest.module,)
    ]
    named = [(each.__name__.lower(), each) for each in (All, *contests, Table)]
    return Union[tuple(Annotated[each, tyro.conf.subcommand(name)] for name, each in named)]  # noqa: UP007


def _usual(module: Any, quick: bool) -> Any:
    """The field of a contest's plan: by default the full one, or the quick one."""
    return field(default_factory=lambda: module.QUICK if quick else module.Plan())


if __name__ == "__main__":
    main(sys.argv[1:])
