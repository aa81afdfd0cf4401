"""What several commands make of their flags."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deceive.errors import InputError


def targets_of(asked: str, card: Any, flag: str) -> Sequence[int]:
    """The classes that a flag asks for: one by its number, or all but rubbish."""
    if asked == "all":
        return range(card.n_outputs - (card.rubbish_class is not None))
    if not asked.isdecimal():
        raise InputError(f"{flag}: expected a class number or all, got {asked!r}")
    return [int(asked)]


def put_aside(folder: Path) -> None:
    """Rename a folder that is there to the first NAME.1, NAME.2, … that isn't."""
    if folder.exists():
        names = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(1))
        folder.rename(next(name for name in names if not name.exists()))


def flag_error(error: Any) -> InputError:
    """The first thing that is wrong with validated settings, by the name of its flag."""
    first = error.errors()[0]
    said = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # about several of them together
        return InputError(f"settings: {said}")
    name = "--" + ".".join(str(part) for part in first["loc"]).replace("_", "-")
    return InputError(f"{name}: {said}; got {first['input']!r}")
