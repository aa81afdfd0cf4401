"""Settings → the command-line flags that reproduce them."""

import shlex
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel


def flags_of(settings: BaseModel, usual: BaseModel | None) -> list[str]:
    """The command-line flags that turn `usual` into `settings`.

    Only fields that differ get a flag: `--name value`, or `--field.name value` for the fields of a
    nested model.

    Args:
        settings: what the flags should give.
        usual: settings of the same class, the flags' defaults; None if there are no defaults.

    >>> from deceive.training.settings import TrainingSettings
    >>> flags_of(TrainingSettings(epochs=3, schedule="constant"), TrainingSettings())
    ['--epochs', '3', '--schedule', 'constant']
    """
    return [*_flags(settings, usual, "")]


def flag(name: str, value: Any) -> list[str]:
    """The words that give a flag this value: a number, a text, a truth, None, or a tuple of these.

    >>> flag("bounds", (-1.0, 1.0)), flag("output", "-x"), flag("trust", False)
    (['--bounds', '-1', '1'], ['--output=-x'], ['--no-trust'])
    """
    name = name.replace("_", "-")
    if isinstance(value, bool):
        before, dot, last = name.rpartition(".")
        return [f"--{name}" if value else f"--{before}{dot}no-{last}"]
    if isinstance(value, tuple | list):
        return [f"--{name}", *map(_word, value)]
    word = _word(value)
    if word.startswith("-") and isinstance(value, str):  # otherwise it would be read as a flag
        return [f"--{name}={word}"]
    return [f"--{name}", word]


def command_line(name: str, *words: str) -> str:
    """A shell command that runs `deceive NAME` with these words.

    >>> command_line("audit", "my net:make", "--steps", "10")
    "deceive audit 'my net:make' --steps 10"
    """
    return shlex.join(["deceive", name, *words])


def _flags(settings: BaseModel, usual: BaseModel | None, prefix: str) -> Iterator[str]:
    for name in type(settings).model_fields:
        value, before = getattr(settings, name), getattr(usual, name, ...)
        if value == before:
            continue
        if isinstance(value, BaseModel):
            inner = before if isinstance(before, BaseModel) else None
            yield from _flags(value, inner, f"{prefix}{name}.")
        else:
            yield from flag(f"{prefix}{name}", value)


def _word(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
