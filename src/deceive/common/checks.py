"""One clear sentence for a value that is out of range."""

import json
import math
import os
from collections.abc import Collection, Iterable, Sequence, Sized
from difflib import get_close_matches
from fractions import Fraction
from itertools import islice
from numbers import Integral, Real
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from deceive.common.errors import InputError

Checked = TypeVar("Checked")

# An upper bound for counts.
MOST = 10**9

# An upper bound for weights, sizes and noise: float32 holds the sum of a million squares of it.
GREATEST = 1000.0

# Seeds are below it, so that derived seeds, counted up from them, still fit into torch's 64 bits.
SEEDS = 2**63

# More than a setting lists.
_LONG = 100_000

# How far rounding in float32 may move a share beyond 0 and 1.
_ROUNDING = 1e-6


def _share(value: float) -> float:
    if not -_ROUNDING <= value <= 1 + _ROUNDING:
        raise ValueError(f"expected a share, 0 to 1, got {value:g}")
    return value


Share = Annotated[float, AfterValidator(_share)]
"""Of a schema: a number in [0, 1]."""

Count = Annotated[int, Field(ge=0, le=10**15)]
"""Of a schema: a whole number of things."""


def open_interval(name: str, value: float, low: float, high: float) -> None:
    """Raise `InputError` unless low < value < high (and value is a number, not NaN)."""
    if not (is_number(value) and low < value < high):
        within = f"above {low:g}" + (f" and below {high:g}" if high < math.inf else "")
        raise InputError(f"{name}: expected a number {within}, got {shown(value)}")


def closed_interval(name: str, value: float, low: float, high: float) -> None:
    """Raise `InputError` unless low ≤ value ≤ high (and value is a number, not NaN)."""
    if not (is_number(value) and low <= value <= high):
        raise InputError(f"{name}: expected a number from {low:g} to {high:g}, got {shown(value)}")


def half_open_interval(name: str, value: float, low: float, high: float) -> None:
    """Raise `InputError` unless low ≤ value < high (and value is a number, not NaN)."""
    if not (is_number(value) and low <= value < high):
        raise InputError(
            f"{name}: expected a number of at least {low:g} and below {high:g}, got {shown(value)}"
        )


def at_least(name: str, value: int, least: int, below: int = 2**63) -> None:
    """Raise `InputError` unless value is a whole number of at least `least` and below `below`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name}: expected a whole number of at least {least}, got {shown(value)}")
    if value >= below:
        raise InputError(f"{name}: expected a whole number below {below:,}, got {shown(value)}")


def seed(name: str, value: int, below: int = 2 * SEEDS) -> None:
    """Raise `InputError` unless value is a whole number from 0 to `below`, by default torch's."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= value < below:
        raise InputError(
            f"{name}: expected a whole number from 0 to {below - 1}, got {shown(value)}"
        )


def one_of(name: str, value: object, choices: Collection[str]) -> None:
    """Raise `InputError` unless value is among the choices."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}; got {shown(value)}")


def fits(
    schema: type[Checked], content: Any, where: str, expected: str, *, strict: bool = False
) -> Checked:
    """Validate what was read against a schema.

    Args:
        schema: a pydantic model.
        content: JSON.
        where: the path or name for the error's sentence.
        expected: what it should be, for the error's sentence.
        strict: no conversions, such as text to numbers.

    Raises `InputError`, which names the first wrong field, when it doesn't fit.
    """
    adapter = TypeAdapter(schema)
    try:
        if strict:  # as JSON, which has lists for tuples
            return adapter.validate_json(json.dumps(content), strict=True)
        return adapter.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = on_one_line(".".join(str(part) for part in first["loc"]))
        said = on_one_line(in_words(first))
        raise InputError(
            f"{where}: expected {expected}; {field + ': ' if field else ''}{said}"
        ) from error


# What pydantic expected, by the type of its error.
_EXPECTED = {
    "missing": "a value",
    "extra_forbidden": "no such field",
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "a whole number"
    ),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("tuple_type", "list_type"), "a list"),
    "string_type": "text",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
}


def in_words(error: ErrorDetails) -> str:
    """What pydantic expected and what came, as our own errors say it.

    >>> from pydantic import TypeAdapter, ValidationError
    >>> try:
    ...     TypeAdapter(int).validate_python("x")
    ... except ValidationError as error:
    ...     print(in_words(error.errors()[0]))
    expected a whole number, got 'x'
    """
    kind, said = error["type"], error["msg"].removeprefix("Value error, ")
    if kind in _EXPECTED:
        bounds = {name: _plain(value) for name, value in error.get("ctx", {}).items()}
        said = f"expected {_EXPECTED[kind].format(**bounds)}"
    if kind == "extra_forbidden" or "got " in said:
        return said
    return f"{said}, got {'none' if kind == 'missing' else shown(error['input'])}"


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    return shown(int(value) if isinstance(value, float) and value.is_integer() else value)


def in_memory(name: str, count: int, shape: Sequence[int]) -> None:
    """Raise `InputError` unless `count` images of this shape fit into the machine's memory.

    Counts 8-bit levels, float32 pixels and some overhead per image. Called before work begins,
    because a process that runs out of memory is killed without a message.
    """
    if count > (most := _most_images(shape)):
        raise InputError(
            f"{name}: expected at most {most:,} images, as many as this machine's memory holds, "
            f"got {shown(count)}"
        )


def listed(name: str, values: Iterable[Checked], shape: Sequence[int]) -> list[Checked]:
    """The values, one per image of this shape; ends even if they are endless.

    Raises `InputError` when that many images don't fit into the machine's memory.
    """
    if isinstance(values, Sized):  # don't list a huge range first
        in_memory(name, len(values), shape)
    several = list(islice(values, _most_images(shape) + 1))
    in_memory(name, len(several), shape)
    return several


def short_list(values: object) -> tuple[Any, ...]:
    """The values of a list or a tuple, for a field validator that runs before pydantic's.

    Pydantic would take the values of an endless iterator or of a huge range, one by one, and keep
    an error for each wrong one. Raises `ValueError`.

    >>> short_list(["a", "b"])
    ('a', 'b')
    """
    if not isinstance(values, list | tuple):
        raise ValueError(f"expected a list, got {type(values).__name__}")
    if len(values) > _LONG:
        raise ValueError(f"expected at most {_LONG:,} of them, got {len(values):,}")
    return tuple(values)


def _most_images(shape: Sequence[int]) -> int:
    return _memory() // (5 * math.prod(shape) + 100)


def shown(value: object) -> str:
    """A value for a message; long numbers and texts are shortened."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return f"{'-' * (value < 0)}10^{math.log10(abs(value)):.0f}"
    said = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else repr(value)
    said = " ".join(said.split())
    return said if len(said) <= 200 else f"{said[:100]}…"


def finite(name: str, value: float) -> None:
    """Raise `InputError` for infinity and NaN."""
    if not math.isfinite(value):
        raise InputError(f"{name}: expected a finite number, got {value:g}")


def is_number(value: object) -> bool:
    """Whether it is a number that a float can hold."""
    if isinstance(value, bool | Fraction) or not isinstance(value, Real):
        return False
    return not isinstance(value, int) or abs(value) < 2**1023


def floored(share: float) -> str:
    """A share in per cent, rounded down, so that 99.0% means at least that.

    >>> floored(0.98999)
    '98.9%'
    """
    return f"{math.floor(share * 1000) / 10:.1f}%"


def counted(number: int, noun: str) -> str:
    """A count with its noun: `1 image`, `2,000 images`."""
    return f"{shown(number)} {noun}{'s' * (number != 1)}"


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are.

    >>> few(["cat", "cow", "dog", "fox", "hen"])
    'cat, cow, dog and 2 more'
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _memory() -> int:
    """The machine's memory in bytes; 64 GiB if the system doesn't tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 64 * 2**30


def on_one_line(text: str, most: int = 200) -> str:
    """Text from a file, on one line, in valid UTF-8 and shortened."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= most else line[: most - 1] + "…"


def meant(name: str, names: Iterable[str]) -> str:
    """The question whether a similar name was meant; empty without one.

    >>> meant("clasifier", ["classifier", "train"])
    '; did you mean classifier?'
    """
    near = get_close_matches(name, [*names], n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""
