"""Class names in the metadata of an ONNX file."""

import ast
from collections.abc import Mapping
from typing import Any

# Keys of the metadata that exporters write names to: Ultralytics the first.
_KEYS = ("names", "class_names", "classes", "labels", "id2label")


def names_in_metadata(metadata: Mapping[str, str]) -> tuple[str, ...] | None:
    """The names of a model's outputs: of a list, or of a mapping from numbers; None without.

    >>> names_in_metadata({"names": "{0: 'tench', 1: 'goldfish'}"})
    ('tench', 'goldfish')
    >>> names_in_metadata({"classes": '["cat", "dog"]', "author": "me"})
    ('cat', 'dog')
    """
    for key in _KEYS:
        names = _listed(_value(metadata.get(key, "")))
        if len(names) > 1:
            return names
    return None


def _value(written: str) -> Any:
    """What a text says as a list or mapping, in Python or JSON; else parts between commas."""
    try:
        return ast.literal_eval(written)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return written.split(",")


def _listed(value: Any) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        try:
            numbers = sorted(value, key=int)
        except (TypeError, ValueError):
            return ()
        whole = [int(each) for each in numbers] == list(range(len(numbers)))
        return tuple(str(value[each]).strip() for each in numbers) if whole else ()
    if isinstance(value, list | tuple):
        return tuple(str(each).strip() for each in value)
    return ()
