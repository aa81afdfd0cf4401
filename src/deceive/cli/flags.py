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
