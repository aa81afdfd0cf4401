"""What several commands make of their flags."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deceive.common import checks
from deceive.common.errors import InputError

# Most digits of a class number; Python's own limit is in the thousands.
_MOST_DIGITS = 9


def ending(path: Path) -> str:
    """The lower-case suffix of a file name: `FIVE.PNG` is a .png."""
    return path.suffix.lower()


def targets_of(asked: str, card: Any, flag: str) -> Sequence[int]:
    """The classes that a flag asks for: one by its number, or all but rubbish."""
    classes = [output for output in range(card.n_outputs) if output != card.rubbish_class]
    if asked == "all":
        return classes
    if not (asked.isascii() and asked.isdecimal()) or len(asked) > _MOST_DIGITS:
        raise InputError(f"{flag}: expected a class number or all, got {checks.shown(asked)}")
    if int(asked) not in classes:
        what = ", the rubbish class" if int(asked) == card.rubbish_class else ""
        raise InputError(
            f"{flag}: expected a class, {classes[0]} to {classes[-1]}, or all, got {asked}{what}"
        )
    return [int(asked)]


def flag_error(error: Any) -> InputError:
    """The first thing that is wrong with validated settings, by the name of its flag."""
    first = error.errors()[0]
    said = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # about several of them together
        return InputError(f"settings: {said}")
    name = "--" + ".".join(str(part) for part in first["loc"]).replace("_", "-")
    return InputError(f"{name}: {said}; got {checks.shown(first['input'])}")
