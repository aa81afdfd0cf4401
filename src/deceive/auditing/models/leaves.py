"""Every array in a model's answer, by name: tuples, mappings, dataclasses, and what they hold."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

Leaves = dict[str, Any]
"""By name; a tensor, an array, or whatever else the model gives."""


def leaves_of(answer: Any) -> Leaves:
    """What a model's answer holds, by name or number; a single array has the name "".

    Names within names are joined by a dot. None is left out.

    >>> list(leaves_of({"heads": (np.zeros((2, 10)), None), "features": np.zeros((2, 64))}))
    ['heads.0', 'features']
    >>> list(leaves_of(np.zeros((2, 10))))
    ['']
    """
    return {name: _as_array(value) for name, value in _raw(answer).items()}


def names_in(answer: Any) -> dict[str, tuple[str, ...]]:
    """The names of columns that come with an answer, of each array that has some, by its name.

    They are the keys of mappings from labels to scores, one an image, or the head of a table.

    >>> names_in({"probabilities": [{"dog": 0.2, "cat": 0.8}]})
    {'probabilities': ('cat', 'dog')}
    """
    found = {name: tuple(map(str, _labels(value))) for name, value in _raw(answer).items()}
    return {name: labels for name, labels in found.items() if labels}


def _raw(answer: Any) -> Leaves:
    return {".".join(path): value for path, value in _walk(answer) if value is not None}


def is_array(value: Any) -> bool:
    """Whether it is a tensor or an array."""
    return isinstance(value, Tensor | np.ndarray)


def _walk(answer: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    inside = _inside(answer)
    if inside is None:
        yield (), answer
        return
    for name, value in inside.items():
        for path, leaf in _walk(value):
            yield (name, *path), leaf


def _inside(answer: Any) -> dict[str, Any] | None:
    """The values within, by name; None for one that has none."""
    if is_array(answer) or isinstance(answer, str):
        return None
    if isinstance(answer, Mapping):
        return {str(name): value for name, value in answer.items()}
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {each.name: getattr(answer, each.name) for each in dataclasses.fields(answer)}
    if isinstance(answer, tuple) and hasattr(answer, "_fields"):
        return dict(zip(answer._fields, answer, strict=True))
    if isinstance(answer, tuple) or (isinstance(answer, list) and not is_rows(answer)):
        return {str(place): value for place, value in enumerate(answer)}
    if hasattr(answer, "logits"):
        return {"logits": answer.logits}
    return None


def is_rows(answer: Sequence[Any]) -> bool:
    """Whether a list holds a row, or a number, for each image, and not several outputs.

    >>> is_rows([[0.1, 0.9], [0.5, 0.5]]), is_rows([np.zeros((2, 64)), np.zeros((2, 10))])
    (True, False)
    """
    return all(
        isinstance(each, int | float | str)
        or (is_array(each) and each.ndim <= 1)
        or (isinstance(each, list | tuple) and all(isinstance(v, int | float) for v in each))
        or _is_scores_by_label(each)
        for each in answer
    )


def _is_scores_by_label(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(v, int | float) for v in row.values())


def _as_array(value: Any) -> Any:
    """Lists of rows and tables as arrays; anything else as it is."""
    if isinstance(value, list) and value:
        if all(map(_is_scores_by_label, value)):
            return np.array([[row[label] for label in _labels(value)] for row in value])
        return np.array([np.asarray(row) for row in value])
    return value.to_numpy() if _is_table(value) else value


def _is_table(value: Any) -> bool:
    """Whether it is a table of pandas or polars."""
    return hasattr(type(value), "to_numpy") and hasattr(value, "columns")


def _labels(answer: Any) -> tuple[Any, ...]:
    """The labels of columns, in order; empty if there are none."""
    if isinstance(answer, list) and answer and all(map(_is_scores_by_label, answer)):
        return tuple(sorted(answer[0], key=by_number))
    return tuple(answer.columns) if _is_table(answer) else ()


def by_number(label: Any) -> tuple[float, str]:
    """Sort key: numbers and texts of numbers by value, then other texts."""
    try:
        return float(label), ""
    except ValueError:
        return float("inf"), str(label)
