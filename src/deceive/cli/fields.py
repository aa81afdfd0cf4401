"""Fields → flags: how tyro sees the dataclass of a command and a model of settings."""

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

import tyro
from pydantic import BaseModel
from tyro.constructors import (
    MISSING_NONPROP,
    ConstructorRegistry,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

REGISTRY = ConstructorRegistry()
"""The rule below, for `tyro.cli`."""


class Raw(NamedTuple):
    """Values from the command line for the fields of a model, not yet validated.

    They are validated all together, as only so an error knows the whole name of its flag.
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
