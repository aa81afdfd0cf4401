"""One clear sentence for a value that is out of range."""

from collections.abc import Collection
from numbers import Integral
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from deceive.errors import InputError

Checked = TypeVar("Checked")


def open_interval(name: str, value: float, low: float, high: float) -> None:
    """Raise `InputError` unless low < value < high (and value is a number, not NaN)."""
    if not low < value < high:
        raise InputError(f"{name}: expected a number between {low:g} and {high:g}, got {value!r}")


def half_open_interval(name: str, value: float, low: float, high: float) -> None:
    """Raise `InputError` unless low ≤ value < high (and value is a number, not NaN)."""
    if not low <= value < high:
        raise InputError(
            f"{name}: expected a number of at least {low:g} and below {high:g}, got {value!r}"
        )


def at_least(name: str, value: int, least: int) -> None:
    """Raise `InputError` unless value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name}: expected a whole number of at least {least}, got {value!r}")


def one_of(name: str, value: object, choices: Collection[str]) -> None:
    """Raise `InputError` unless value is among the choices."""
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}; got {value!r}")


def fits(
    schema: type[Checked] | TypeAdapter[Checked], content: Any, where: str, expected: str
) -> Checked:
    """What was read, as the schema has it.

    Raises `InputError` when it doesn't fit: it says where what was expected, and the first field
    that is wrong.
    """
    adapter = schema if isinstance(schema, TypeAdapter) else TypeAdapter(schema)
    try:
        return adapter.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"{where}: expected {expected}; {field + ': ' if field else ''}{said}"
        ) from error
