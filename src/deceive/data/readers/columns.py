"""Which columns of a table hold pictures and labels, and what is in their cells.

Hugging Face's tables say it in the metadata of their schema; others by names and types.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.common.errors import InputError
from deceive.data.decoding import decoded
from deceive.data.names import words_in
from deceive.data.readers.layout import layout_of
from deceive.data.readers.reader import UnreadableError
from deceive.data.readers.values import Values, values_of

_IMAGES = ("image", "img", "images", "picture", "pixels", "pixel", "photo", "x", "data", "bytes")
_LABELS = ("label", "labels", "fine", "target", "targets", "class", "y", "category")


@dataclass(frozen=True)
class Columns:
    """The columns that matter."""

    image: str
    label: str
    class_names: tuple[str, ...]
    """Of labels 0, 1, …; empty if the table doesn't say."""


def arrow_for(where: Path | str) -> Any:
    """The library pyarrow. Raises `InputError` where it isn't installed."""
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(
            f"{where}: expected pyarrow to read it with; install it with pip install "
            "'deceive[parquet]'"
        ) from error
    return pyarrow


def columns_of(schema: Any, where: Path | str) -> Columns:
    """Find them in a pyarrow schema.

    Raises `InputError`, which lists the columns, when there is none for pictures or for labels.
    """
    features = _features(schema)
    kinds = {name: each.get("_type") for name, each in features.items() if isinstance(each, dict)}
    types = dict(zip(schema.names, schema.types, strict=True))
    images = [name for name in types if kinds.get(name) == "Image"] or [
        name for name, kind in types.items() if _holds_pictures(kind)
    ]
    labels = [name for name in types if kinds.get(name) == "ClassLabel"] or [
        name
        for name, kind in types.items()
        if _is_plain(kind) and any(word in _LABELS for word in words_in(name))
    ]
    labels = [name for name in labels if name not in images]
    if not images or not labels:
        said = ", ".join(f"{name} ({kind})" for name, kind in list(types.items())[:6])
        raise InputError(
            f"{where}: expected a column of pictures (bytes, or numbers in lists) and one of "
            f"labels, named label, got {said or 'no columns'}"
        )
    label = min(labels, key=lambda name: _rank(name, _LABELS))
    feature = features.get(label)
    names = feature.get("names") if isinstance(feature, dict) else None
    return Columns(
        min(images, key=lambda name: _rank(name, _IMAGES)),
        label,
        tuple(map(str, names)) if isinstance(names, list) else (),
    )


def _features(schema: Any) -> dict[str, Any]:
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _holds_pictures(kind: Any) -> bool:
    text = str(kind)
    is_bytes = text in ("binary", "large_binary") or text.startswith("struct<bytes: ")
    return is_bytes or (("list<" in text or "array" in text) and "string" not in text)


def _is_plain(kind: Any) -> bool:
    return str(kind).startswith(("int", "uint", "string", "large_string", "bool", "dictionary"))


def _rank(name: str, known: tuple[str, ...]) -> int:
    return min((known.index(word) for word in words_in(name) if word in known), default=len(known))


def labels_in(column: Any) -> NDArray[Any]:
    """The values of a pyarrow column; missing ones are -1."""
    return np.array([-1 if each is None else each for each in column.to_pylist()])


class Cells:
    """Decodes cells of a column of pictures."""

    def __init__(self, beside: Path | None, where: str) -> None:
        """The folder that paths in cells begin from, if any, and what messages call the column."""
        self.beside = beside
        self.where = where
        self._values: Values | None = None

    def picture(self, cell: Any) -> Tensor:
        """The picture (C, h, w) uint8 in a pyarrow scalar.

        Raises:
            UnreadableError: when the cell is empty or damaged.
            InputError: when it holds numbers that are no picture.
        """
        held = cell.as_py()
        content = held.get("bytes") if isinstance(held, dict) else held
        path = held.get("path") if isinstance(held, dict) else None
        if isinstance(content, bytes):
            return decoded(content)
        if isinstance(content, list):
            return self._numbers(np.array(content))
        if content is None and path and self.beside is not None:
            return decoded(self.beside / str(path))
        raise UnreadableError("an empty cell")

    def _numbers(self, values: NDArray[Any]) -> Tensor:
        if values.dtype.kind not in "biuf":
            raise UnreadableError("a list that holds more than numbers, or rows of unequal length")
        layout = layout_of((1, *values.shape), self.where, values[None])
        if self._values is None or (self._values.high == 1 < values.max()):
            self._values = values_of(values, self.where)
        return torch.from_numpy(self._values(layout(values), self.where)[0].copy())
