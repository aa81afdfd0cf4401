"""Argument checks for public functions: a wrong type gives a one-sentence error."""

import functools
import inspect
import operator
from collections.abc import Callable, Collection, Mapping, Set
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from deceive.common.checks import at_least, is_number, shown
from deceive.common.errors import InputError

Function = TypeVar("Function", bound=Callable[..., Any])

# Raises an `InputError` that names the argument if the value has the wrong type.
Kind = Callable[[str, Any], None]


def taking(**kinds: Kind) -> Callable[[Function], Function]:
    """Decorator: check the named arguments before each call."""

    def checking(function: Function) -> Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def checked(*arguments: Any, **options: Any) -> Any:
            given = signature.bind(*arguments, **options).arguments
            for name, kind in kinds.items():
                if name in given:
                    kind(name, given[name])
            return function(*arguments, **options)

        return checked  # type: ignore[return-value]

    return checking


def of(expected: str, *types: type) -> Kind:
    """An instance of one of `types`, which `expected` describes."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, types):
            raise refusal(name, expected, value)

    return check


def maybe(kind: Kind) -> Kind:
    """The same, or None."""

    def check(name: str, value: Any) -> None:
        if value is not None:
            kind(name, value)

    return check


def number(name: str, value: Any) -> None:
    """A real number."""
    if not is_number(value):
        raise refusal(name, "a number", value)


def numbers(name: str, value: Any) -> None:
    """Several real numbers."""
    for each in _several(name, "numbers", value):
        number(name, each)


def pair(name: str, value: Any) -> None:
    """Two numbers in any sequence; not an iterator, which this check would use up."""
    expected = "(low, high), two numbers"
    try:
        count = len([float(each) for each in _several(name, expected, value)])
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise refusal(name, expected, value) from error
    if count != 2:
        raise refusal(name, expected, value)


def two(name: str, value: Any) -> None:
    """Two numbers, in a tuple or a list."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise refusal(name, "(low, high), two numbers", value)
    numbers(name, value)


def sides(name: str, value: Any) -> None:
    """(height, width), in a tuple or a list."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise refusal(name, "(height, width), two whole numbers", value)
    for each in value:
        at_least(name, each, 1)


def shape(name: str, value: Any, least: int = 1) -> None:
    """(C, H, W) of an image."""
    sides = _several(name, "(C, H, W), three whole numbers", value)
    if len(sides) != 3:
        raise refusal(name, "(C, H, W), three whole numbers", value)
    for side in sides:
        at_least(name, side, least)


def steps(name: str, value: Any) -> None:
    """A bool, or several whole numbers."""
    if isinstance(value, bool | np.bool_):
        return
    for step in _several(name, "True, False or numbers of steps", value, ordered=False):
        try:
            operator.index(step)
        except TypeError as error:
            raise refusal(name, "numbers of steps", step) from error


def models(name: str, value: Any) -> None:
    """A model, its path or name; or several of them."""
    if not (isinstance(value, str | Path | list | tuple) or callable(value)):
        raise refusal(name, "a model, or a list of models", value)


def function(name: str, value: Any) -> None:
    """Something to call."""
    if not callable(value):
        raise refusal(name, "a function", value)


def name_or_function(name: str, value: Any) -> None:
    """A name or a callable."""
    if not (isinstance(value, str) or callable(value)):
        raise refusal(name, "a name or a function", value)


def whole(name: str, value: Any) -> None:
    """A whole number."""
    if isinstance(value, bool) or not isinstance(value, Integral) or abs(int(value)) >= 2**63:
        raise refusal(name, "a whole number", value)


def name_or_place(name: str, value: Any) -> None:
    """A name or an index."""
    if not isinstance(value, str):
        whole(name, value)


def names(name: str, value: Any) -> None:
    """Texts, in a list or a tuple."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise refusal(name, "names, in a list or a tuple", value)


def images(name: str, value: Any) -> None:
    """Float images (N, C, H, W)."""
    _strided(name, "float images (N, C, H, W)", value)
    if value.ndim != 4 or not value.is_floating_point():
        raise refusal(name, "float images (N, C, H, W)", value)


def labels(name: str, value: Any) -> None:
    """Whole numbers (N,)."""
    _strided(name, "whole numbers (N,)", value)
    whole = not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
    if value.ndim != 1 or not whole:
        raise refusal(name, "whole numbers (N,)", value)


def tensor(name: str, value: Any) -> None:
    """A dense tensor with data."""
    _strided(name, "a tensor", value)


def mask(name: str, value: Any) -> None:
    """A bool tensor (N,)."""
    _strided(name, "a mask (N,), of torch.bool", value)
    if value.ndim != 1 or value.dtype != torch.bool:
        raise refusal(name, "a mask (N,), of torch.bool", value)


# More elements than any caller needs; a range of 10^12 is as easy to write.
_MANY = 1_000_000


def _several(name: str, expected: str, value: Any, *, ordered: bool = True) -> list[Any]:
    """The values of a collection. A set or a dict is refused if their order matters."""
    fits = isinstance(value, Collection) and not isinstance(value, str | bytes)
    if fits and not (ordered and isinstance(value, Set | Mapping)):
        try:
            if len(value) <= _MANY:
                return [*value]
        except (TypeError, OverflowError):  # 0-d tensors and arrays; a range of 10^30
            pass
    raise refusal(name, expected, value)


def _strided(name: str, expected: str, value: Any) -> None:
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_meta:
        raise refusal(name, expected, value)


def modules(name: str, value: Any) -> None:
    """Torch modules, in a list, a tuple or an `nn.ModuleList`."""
    if not isinstance(value, list | tuple | nn.ModuleList):
        raise refusal(name, "a list of torch.nn.Modules", value)
    for each in value:
        module(name, each)


def shifts(name: str, value: Any) -> None:
    """Pairs of whole numbers, in a tuple or a list."""
    if not isinstance(value, list | tuple):
        raise refusal(name, "pairs of whole numbers", value)
    for each in value:
        two(name, each)
        for number in each:
            whole(name, number)


module = of("a torch.nn.Module", nn.Module)
flag = of("True or False", bool, np.bool_)
place = of("a path", str, Path)


def as_many(name: str, value: Tensor, count: int, others: str) -> None:
    """Raise `InputError` unless there is one value for each of `others`."""
    if len(value) != count:
        raise InputError(
            f"{name}: expected {count:,}, one for each of the {others}, got {len(value):,}"
        )


def within_classes(name: str, value: Tensor, n_classes: int, whose: str) -> None:
    """Raise `InputError` unless all values are classes of a model that has `n_classes`."""
    for each in value.aminmax() if value.numel() else ():
        if not 0 <= each < n_classes:
            raise InputError(
                f"{name}: expected classes 0 to {n_classes - 1} of the {whose}'s {n_classes}, "
                f"got {int(each)}"
            )


def refusal(name: str, expected: str, value: object) -> InputError:
    """The error for a value that is not what was expected."""
    return InputError(f"{name}: expected {expected}, got {_described(value)}")


def _described(value: object) -> str:
    """A value in a few words, on one line."""
    if isinstance(value, Tensor | np.ndarray):
        return f"{type(value).__name__} of {value.dtype} {tuple(value.shape)}"
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return shown(value)
    return type(value).__name__
