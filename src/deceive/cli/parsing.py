"""Command lines → commands: each field of a command and of its settings is a flag.

A command is a dataclass, and its settings are a pydantic model in one of its fields. tyro makes
flags of both. A flag's default is what the command's `usual` instance holds, and its help is the
docstring below the field.
"""

import dataclasses
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar

import tyro
from docstring_parser import parse_from_object
from pydantic import BaseModel, ValidationError
from tyro.constructors import (
    MISSING_NONPROP,
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from deceive.common import checks
from deceive.common.errors import InputError

AnyCommand = TypeVar("AnyCommand", bound="Command")
Choice = TypeVar("Choice")

_REGISTRY = ConstructorRegistry()


@dataclass(frozen=True)
class Command:
    """What a command line asks for."""

    together: ClassVar[bool] = False
    """Whether several processes can share the work."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self | None:
        """An instance with the default of every flag, `tyro.MISSING` for a required one.

        Which it is may depend on the command line itself, on a preset for example. None for the
        defaults of the class.
        """
        return None

    def run(self) -> int:
        """Do it, and give the exit code."""
        raise NotImplementedError


def parsed(
    command: type[AnyCommand], name: str, about: str, arguments: Sequence[str]
) -> AnyCommand:
    """The command that a command line asks for.

    Args:
        command: its class.
        name: its name, the word after `deceive`.
        about: the sentences above its flags in its help.
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
        registry=_REGISTRY,
    )
    raw = {name: value for name, value in vars(made).items() if isinstance(value, _Raw)}
    return dataclasses.replace(made, **{name: each.validated() for name, each in raw.items()})


def chosen(choice: type[Choice], arguments: Sequence[str]) -> Choice:
    """The flags that decide which other flags there are, and their defaults.

    Raises `SystemExit` 2 after a syntax error.
    """
    made, _ = tyro.cli(
        choice, args=list(arguments), return_unknown_args=True, add_help=False, registry=_REGISTRY
    )
    return made


def flag_error(error: ValidationError) -> InputError:
    """The first thing that is wrong with settings, by the name of its flag."""
    first = error.errors()[0]
    said = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # about several of them together
        return InputError(f"settings: {said}")
    name = "--" + ".".join(str(part) for part in first["loc"]).replace("_", "-")
    return InputError(f"{name}: {said}; got {checks.shown(first['input'])}")


class _Raw(NamedTuple):
    """Values from the command line for the fields of a model, not yet validated.

    They are validated all together, as only so an error knows the whole name of its flag.
    """

    model: type[BaseModel]
    values: dict[str, Any]

    def validated(self) -> BaseModel:
        try:
            return self.model.model_validate(self._plain())
        except ValidationError as error:
            raise flag_error(error) from error

    def _plain(self) -> dict[str, Any]:
        return {
            name: value._plain() if isinstance(value, _Raw) else value
            for name, value in self.values.items()
        }


@_REGISTRY.struct_rule
def _flags(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The flags of a command or of a model; a field that can have one value alone gets none."""
    made: Callable[..., Any]
    usual: dict[str, Any] = {}
    if dataclasses.is_dataclass(info.type):
        made = info.type
        for each in dataclasses.fields(info.type):
            required = each.default is dataclasses.MISSING
            usual[each.name] = MISSING_NONPROP if required else each.default
    elif isinstance(info.type, type) and issubclass(info.type, BaseModel):
        made = partial(_raw, info.type)
        for name, field in info.type.model_fields.items():
            usual[name] = MISSING_NONPROP if field.is_required() else field.get_default()
    else:
        return None
    hints = typing.get_type_hints(info.type, include_extras=True)
    fields = [
        _flag(info.type, name, hints[name], getattr(info.default, name, default))
        for name, default in usual.items()
        if not _is_fixed(hints[name])
    ]
    return StructConstructorSpec(instantiate=made, fields=tuple(fields))


def _flag(owner: type, name: str, hint: Any, default: Any) -> StructFieldSpec:
    if default is None:  # the help says what happens then
        hint = Annotated[hint, tyro.conf.arg(help_behavior_hint="(optional)")]
    return StructFieldSpec(name, hint, default, partial(_help, owner, name))


def _raw(model: type[BaseModel], **values: Any) -> _Raw:
    return _Raw(model, values)


def _is_fixed(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal and len(typing.get_args(hint)) == 1


@cache
def _help(owner: type, name: str) -> str | None:
    """The docstring of a field, on one line."""
    for each in owner.__mro__:
        if each.__module__ != "builtins":
            for field in parse_from_object(each).params:
                if field.arg_name == name and field.description:
                    return " ".join(field.description.split())
    return None
