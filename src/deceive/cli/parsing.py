"""Parsing command lines into commands: each field of a command and of its settings is a flag.

A command is a dataclass, and its settings are a pydantic model in one of its fields. tyro turns
both into flags. A flag's default comes from the command's `usual` instance, and its help from the
docstring below the field.
"""

import dataclasses
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self, TypeVar

import tyro
from pydantic import BaseModel, ValidationError
from tyro.constructors import MISSING_NONPROP

from deceive.cli.fields import REGISTRY, Raw
from deceive.common import checks
from deceive.common.errors import InputError

AnyCommand = TypeVar("AnyCommand", bound="Command")
Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Command:
    """A parsed command line."""

    together: ClassVar[bool] = False
    """Whether several processes can share the work."""
    resumes: ClassVar[bool] = False
    """Whether the same command goes on from where it was interrupted."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self | None:
        """An instance with the default of every flag, `tyro.MISSING` for required ones.

        It may depend on the command line itself, such as on a preset. None for the defaults of the
        class.
        """
        return None

    def run(self) -> int:
        """Run the command, and return the exit code."""
        raise NotImplementedError


def parsed(
    command: type[AnyCommand], name: str, about: str, arguments: Sequence[str]
) -> AnyCommand:
    """The command that a command line asks for.

    Args:
        command: its class.
        name: its name, the word after `deceive`.
        about: the description above the flags in its help.
        arguments: the words after its name.

    Raises:
        InputError: for a setting that is out of range.
        SystemExit: 0 after help, 2 after a syntax error.
    """
    usual = command.usual(arguments)
    made: AnyCommand = tyro.cli(
        command,
        prog=f"deceive {name}",
        description=about,
        args=list(arguments),
        default=MISSING_NONPROP if usual is None else usual,
        config=(tyro.conf.AvoidSubcommands,),
        registry=REGISTRY,
    )
    raw = {name: value for name, value in vars(made).items() if isinstance(value, Raw)}
    try:
        settings = {name: each.validated() for name, each in raw.items()}
        for each in settings.values():
            each.model_fields_set.intersection_update(_named(arguments))
        return dataclasses.replace(made, **settings)
    except ValidationError as error:
        raise flag_error(error) from error


def _named(arguments: Sequence[str]) -> set[str]:
    """The fields whose flags are among the words: they count as set explicitly."""
    flags = [word.partition("=")[0][2:] for word in arguments if word.startswith("--")]
    return {flag.removeprefix("no-").replace("-", "_") for flag in flags}


def chosen(choice: type[Choice], arguments: Sequence[str]) -> Choice:
    """The flags that decide which other flags there are, and their defaults.

    Raises `SystemExit` 2 after a syntax error.
    """
    made, _ = tyro.cli(
        choice, args=list(arguments), return_unknown_args=True, add_help=False, registry=REGISTRY
    )
    return made


def ending(path: Path) -> str:
    """The lower-case suffix of a file name: `FIVE.PNG` is a .png."""
    return path.suffix.lower()


def with_dashes(said: str, command: Command) -> str:
    """An error's sentence, in which the argument that it begins with is named as a flag.

    >>> @dataclass(frozen=True)
    ... class ShowCommand(Command):
    ...     other_data: str = ""
    >>> with_dashes("other_data: expected a folder", ShowCommand())
    '--other-data: expected a folder'
    >>> with_dashes("model: expected a network", ShowCommand())
    'model: expected a network'
    """
    name, colon, rest = said.partition(":")
    return f"{_flag(name)}{colon}{rest}" if name in _flags_of(command) else said


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _flags_of(command: object) -> set[str]:
    """The names of a dataclass's fields that are flags, and of its settings' and groups'."""
    assert dataclasses.is_dataclass(command)
    hints = typing.get_type_hints(type(command), include_extras=True)
    names = set()
    for field in dataclasses.fields(command):
        value = getattr(command, field.name)
        if isinstance(value, BaseModel):
            names |= {*type(value).model_fields}
        elif dataclasses.is_dataclass(value):
            names |= _flags_of(value)
        elif tyro.conf.Positional not in typing.get_args(hints[field.name]):
            names.add(field.name)
    return names


@contextmanager
def about_flag(flag: str) -> Iterator[None]:
    """Let errors about a model name the flag that it was given with."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{flag}: {str(error).removeprefix('model: ')}") from error


def flag_error(error: ValidationError) -> InputError:
    """The first error in settings, with the name of its flag."""
    first = error.errors()[0]
    if not first["loc"]:  # about several of them together
        return InputError(f"settings: {first['msg'].removeprefix('Value error, ')}")
    parts = [part for part in first["loc"] if isinstance(part, str)]  # not the place in a list
    said = checks.in_words(first).removeprefix(f"{parts[-1]}: ")  # a check may name its field
    return InputError(f"{_flag('.'.join(parts))}: {said}")
