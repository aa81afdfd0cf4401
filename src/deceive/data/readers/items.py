"""Pictures of a data set in Python, such as a torch `Dataset`: an item is a picture and a label."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.common.checks import on_one_line
from deceive.common.errors import InputError
from deceive.common.raising import raised
from deceive.data.decoding import decoded, levels_in
from deceive.data.readers.layout import layout_of
from deceive.data.readers.reader import Pictures, UnreadableError
from deceive.data.readers.values import LEVELS, values_of

_IMAGES = ("image", "img", "pixel_values", "images", "x", "picture", "pixels")
_LABELS = ("label", "labels", "target", "targets", "y", "class")
_SOME = 32
"""Items looked at, to learn what their values mean."""

Item = tuple[Any, Any]
"""A picture (a tensor, an array, a Pillow image or a file) and its label."""


def item_of(item: Any, where: str) -> Item:
    """The picture and the label in an item: the first two of a tuple, or those of a dict.

    Raises `InputError` for anything else.
    """
    if isinstance(item, tuple | list) and len(item) >= 2:
        return item[0], item[1]
    if isinstance(item, Mapping):
        found = [
            next((item[name] for name in names if name in item), None)
            for names in (_IMAGES, _LABELS)
        ]
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    kind = f"a dict of {', '.join(map(str, item))}" if isinstance(item, Mapping) else ""
    raise InputError(
        f"{where}: expected items (image, label), or dicts with image and label, got "
        f"{on_one_line(kind) or type(item).__name__}"
    )


def item_at(items: Any, row: int, where: str) -> Item:
    """The picture and the label of one item of a sequence.

    Raises `InputError` for items of other kinds, and when the sequence raises an error.
    """
    try:
        item = items[row]
    except Exception as error:  # the user's code may raise anything
        raise InputError(
            f"{where}[{row}]: expected an item (image, label), got {raised(error)}"
        ) from error
    return item_of(item, where)


class Items(Pictures):
    """Pictures of some items of a sequence."""

    def __init__(self, items: Any, rows: Sequence[int], where: str) -> None:
        """The sequence, the items that count, and what messages call them."""
        self._items = items
        self._rows = rows
        self._where = where
        self._normalised = normalisation_of(items)
        some = np.linspace(0, len(rows) - 1, min(_SOME, len(rows))).astype(int).tolist()
        arrays = [array for array in map(self._sampled, some) if array is not None]
        self._values = LEVELS
        if any(array.dtype != np.uint8 for array in arrays):
            self._values = values_of(np.concatenate([array.ravel() for array in arrays]), where)

    def __len__(self) -> int:
        return len(self._rows)

    def one(self, row: int) -> Tensor:
        """A picture (C, h, w) uint8."""
        try:
            picture = self._picture(row)
            array = self._array(picture)
            if array is None:
                is_file = isinstance(picture, str | Path)
                return decoded(Path(picture)) if is_file else levels_in(picture)
        except (InputError, UnreadableError):
            raise
        except Exception as error:  # the user's code may raise anything
            raise UnreadableError(raised(error)) from error
        values = LEVELS if array.dtype == np.uint8 else self._values
        layout = layout_of((1, *array.shape), self._where)
        return torch.from_numpy(values(layout(array), self._where)[0].copy())

    def name(self, row: int) -> str:
        """The data set with the item's index."""
        return f"{self._where}[{self._rows[row]}]"

    def _picture(self, row: int) -> Any:
        return item_of(self._items[self._rows[row]], self._where)[0]

    def _sampled(self, row: int) -> NDArray[Any] | None:
        """The numbers of a picture; None for others, and where the item raises an error."""
        try:
            return self._array(self._picture(row))
        except InputError:
            raise
        except Exception:  # told once the picture is read
            return None

    def _array(self, picture: Any) -> NDArray[Any] | None:
        """The numbers of a picture; None for a Pillow image or a file."""
        if isinstance(picture, Tensor):
            picture = picture.detach().cpu()
            picture = (picture.float() if picture.is_floating_point() else picture).numpy()
        if not isinstance(picture, np.ndarray):
            return None
        if self._normalised is not None and picture.dtype.kind == "f":
            mean, std = self._normalised
            return np.asarray((picture * std + mean).clip(0, 1))
        return picture


def normalisation_of(items: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Mean and standard deviation (C, 1, 1) of the `Normalize` in a data set's transform."""
    while hasattr(items, "dataset"):  # a subset
        items = items.dataset
    transform = getattr(items, "transform", None)
    for step in getattr(transform, "transforms", None) or [transform]:
        mean, std = getattr(step, "mean", None), getattr(step, "std", None)
        if mean is not None and std is not None:
            pair = [np.asarray(each, np.float32).reshape(-1, 1, 1) for each in (mean, std)]
            return pair[0], pair[1]
    return None
