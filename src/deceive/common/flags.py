"""Settings → the flags of the command line that give them again."""

import shlex
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel


def flags_of(settings: BaseModel, usual: BaseModel | None) -> list[str]:
    """The words of a command line that turn `usual` into `settings`.

    Only what differs has a flag. Each field is `--name value`, each field of a model in a field
    `--field.name value`.

    Args:
        settings: what the command line has to give.
        usual: settings of the same class, the defaults of its flags; None for none at all.

    >>> from deceive.training.settings import TrainingSettings
    >>> flags_of(TrainingSettings(epochs=3, schedule="constant"), TrainingSettings())
    ['--epochs', '3', '--schedule', 'constant']
    """
    return [*_flags(settings, usual, "")]


def command_line(name: str, *words: str) -> str:
    """One line for a shell that runs the command of this name.

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
            yield f"--{prefix}{flag}={word}"  # else it would be taken for a flag
        else:
            yield from (f"--{prefix}{flag}", word)


def _word(value: Any) -> str:
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
