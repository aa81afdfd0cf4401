"""How tyro turns fields into flags, of a command's dataclass and of its settings' model."""

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import tyro
from pydantic import BaseModel
from tyro.constructors import (
    MISSING_NONPROP,
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

REGISTRY = ConstructorRegistry()
"""The rules below, for `tyro.cli`."""

# What an error calls a number that it expected.
_NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}


class Raw(NamedTuple):
    """Values from the command line for the fields of a model, not yet validated.

    They are validated together, because only then does an error know its flag's full name.
    """

    model: type[BaseModel]
    values: dict[str, Any]

    def validated(self) -> BaseModel:
        """The model. Raises pydantic's `ValidationError`."""
        return self.model.model_validate(self._plain())

    def _plain(self) -> dict[str, Any]:
        return {
            name: value._plain() if isinstance(value, Raw) else value
            for name, value in self.values.items()
        }


@REGISTRY.struct_rule
def _flags(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The flags of a command, of its settings, of a group of these, or of a model in a field."""
    kind = info.type
    if dataclasses.is_dataclass(kind):
        return StructConstructorSpec(kind, tuple(_of_command(kind, info.default)))
    if not isinstance(kind, type):
        return None
    if issubclass(kind, _Settings):
        made: Callable[..., Any] = partial(_merged, type(kind.usual))
        return StructConstructorSpec(made, tuple(_groups(kind.usual)))
    if issubclass(kind, _Group):
        return StructConstructorSpec(dict, tuple(_of_group(kind)))
    if issubclass(kind, BaseModel):
        fields = [_flag(kind, name, info.default) for name in kind.model_fields]
        return StructConstructorSpec(partial(_raw, kind), tuple(fields))
    return None


@REGISTRY.primitive_rule
def _number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """A number, or a number or None, with an error in plain words."""
    is_union = typing.get_origin(info.type) in (typing.Union, types.UnionType)
    kinds = typing.get_args(info.type) if is_union else (info.type,)
    numbers = [kind for kind in kinds if kind is not type(None)]
    if len(numbers) != 1 or numbers[0] not in _NUMBERS:
        return None
    (kind,) = numbers
    or_none = len(kinds) > 1 and tyro.conf.DisallowNone not in info.markers
    expected = _NUMBERS[kind] + " or None" * or_none

    def from_words(words: list[str]) -> Any:
        if or_none and words == ["None"]:
            return None
        try:
            return kind(words[0])
        except ValueError as error:
            raise ValueError(f"expected {expected}, got {words[0]!r}") from error

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.__name__.upper() + "|None" * or_none,
        instance_from_str=from_words,
        is_instance=lambda value: isinstance(value, (int, *kinds)),
        str_from_instance=lambda value: [str(value)],
    )


@REGISTRY.primitive_rule
def _several(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Two numbers, or any number of them, if they may be left out; an error in plain words."""
    if tyro.conf.DisallowNone not in info.markers:
        return None
    if info.type == tuple[float, float] | None:
        count: Literal["*"] | int = 2
        expected, metavar = "two numbers", "FLOAT FLOAT"
    elif info.type == tuple[float, ...] | None:
        count, expected, metavar = "*", "numbers", "[FLOAT [FLOAT ...]]"
    else:
        return None

    def from_words(words: list[str]) -> tuple[float, ...]:
        try:
            return tuple(map(float, words))
        except ValueError as error:
            raise ValueError(f"expected {expected}, got {' '.join(words)!r}") from error

    return PrimitiveConstructorSpec(
        nargs=count,
        metavar=metavar,
        instance_from_str=from_words,
        is_instance=lambda value: value is None or isinstance(value, tuple),
        str_from_instance=lambda value: [*map(str, value or ())],
    )


class _Settings:
    """Stands for the settings of a command, whose flags have no prefix."""

    usual: ClassVar[BaseModel]


class _Group:
    """Stands for some of them, which have a box of their own in the help."""

    usual: ClassVar[BaseModel]
    names: ClassVar[list[str]]


def _of_command(command: type, default: Any) -> Iterator[StructFieldSpec]:
    hints = typing.get_type_hints(command, include_extras=True)
    for field in dataclasses.fields(command):
        value = getattr(default, field.name, field.default)
        if isinstance(value, BaseModel):
            kind = type("Settings", (_Settings,), {"usual": value})
            hint: Any = Annotated[kind, tyro.conf.arg(name="")]
            yield StructFieldSpec(field.name, hint, kind())
        else:
            yield _spec(command, field.name, hints[field.name], value)


def _groups(usual: BaseModel) -> Iterator[StructFieldSpec]:
    """A group for each class that declares settings, base classes first, and the nested models."""
    model = type(usual)
    nested = [name for name, value in usual if isinstance(value, BaseModel)]
    groups: dict[type, list[str]] = {}
    for name in model.model_fields:
        owner = [each for each in model.__mro__ if name in inspect.get_annotations(each)][-1]
        if name not in nested:
            groups.setdefault(owner, []).append(name)
    for owner, names in groups.items():
        title = owner.__name__.removesuffix("Settings").lower()
        kind = type("Group", (_Group,), {"usual": usual, "names": names})
        about = (owner.__doc__ or "").partition("\n\n")[0]
        yield StructFieldSpec(title, kind, kind(), " ".join(about.split()))
    for name in nested:
        yield _flag(model, name, usual)


def _of_group(group: type[_Group]) -> Iterator[StructFieldSpec]:
    hints = typing.get_type_hints(type(group.usual), include_extras=True)
    for name in group.names:
        if not _is_fixed(hints[name]):
            hint: Any = Annotated[hints[name], tyro.conf.arg(prefix_name=False)]
            yield _spec(type(group.usual), name, hint, getattr(group.usual, name))


def _flag(owner: type[BaseModel], name: str, default: Any) -> StructFieldSpec:
    hints = typing.get_type_hints(owner, include_extras=True)
    field = owner.model_fields[name]
    value = dataclasses.MISSING if field.is_required() else field.get_default()
    return _spec(owner, name, hints[name], getattr(default, name, value))


def _spec(owner: type, name: str, hint: Any, default: Any) -> StructFieldSpec:
    if default is dataclasses.MISSING:
        default = MISSING_NONPROP
    if default is None or default == ():  # the help says what happens then
        hint = Annotated[hint, tyro.conf.arg(help_behavior_hint="(optional)")]
        hint = Annotated[hint, tyro.conf.DisallowNone]
    return StructFieldSpec(name, hint, default, partial(_help, owner, name))


def _merged(model: type[BaseModel], **parts: Any) -> Raw:
    """The values of groups and of nested models."""
    values: dict[str, Any] = {}
    for name, part in parts.items():
        values |= part if isinstance(part, dict) else {name: part}
    return Raw(model, values)


def _raw(model: type[BaseModel], **values: Any) -> Raw:
    return Raw(model, values)


def _is_fixed(hint: Any) -> bool:
    return typing.get_origin(hint) is typing.Literal and len(typing.get_args(hint)) == 1


def _help(owner: type, name: str) -> str | None:
    """The docstring of a field, from the class that declares it last."""
    declared = (
        _docstrings(each) for each in owner.__mro__ if name in inspect.get_annotations(each)
    )
    return next((said[name] for said in declared if name in said), None)


@cache
def _docstrings(owner: type) -> dict[str, str]:
    """The string below each field of a class, on one line."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)
    said = {}
    for field, below in pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            assert isinstance(below.value, ast.Constant)
            said[ast.unparse(field.target)] = " ".join(str(below.value.value).split())
    return said
