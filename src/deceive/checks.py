"""One clear sentence for a value that is out of range."""

from collections.abc import Collection
from numbers import Integral

from deceive.errors import InputError


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
