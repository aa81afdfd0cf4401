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


def command_line(name: str, *words: str) -> str:
    """A shell command that runs `deceive NAME` with these words.

    >>> command_line("audit", "my net:make", "--steps", "10")
    "deceive audit 'my net:make' --steps 10"
    """
    return shlex.join(["deceive", name, *words])


def _flags(settings: BaseModel, usual: BaseModel | None, prefix: str) -> Iterator[str]:
    for name in type(settings).model_fields:
        value, before = getattr(settings, name), getattr(usual, name, ...)
        flag = name.replace("_", "-")
        if value == before:
            continue
        if isinstance(value, BaseModel):
            inner = before if isinstance(before, BaseModel) else None
            yield from _flags(value, inner, f"{prefix}{flag}.")
        elif isinstance(value, bool):
            yield f"--{prefix}{'' if value else 'no-'}{flag}"
        elif isinstance(value, tuple):
            yield from (f"--{prefix}{flag}", *map(_word, value))
        elif (word := _word(value)).startswith("-"):
            yield f"--{prefix}{flag}={word}"  # otherwise it would be read as a flag
        else:
            yield from (f"--{prefix}{flag}", word)


def _word(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
