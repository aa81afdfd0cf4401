"""Data sets of Hugging Face's hub, and `datasets.Dataset` in memory."""

import hashlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from deceive.common.checks import on_one_line
from deceive.common.errors import InputError
from deceive.data.names import part_named
from deceive.data.readers.columns import Cells, columns_of, labels_in
from deceive.data.readers.reader import Found, Part, PartName, Pictures

PREFIX = "hf:"
"""Begins a place on the hub."""


class HubPictures(Pictures):
    """Pictures of a `datasets.Dataset`."""

    def __init__(self, dataset: Any, column: str, where: str) -> None:
        """The data set, and its column of pictures."""
        self._rows = dataset.select_columns([column]).with_format("arrow")
        self._cells = Cells(None, where)

    def __len__(self) -> int:
        return len(self._rows)

    def one(self, row: int) -> Tensor:
        """A picture (C, h, w) uint8."""
        return self._cells.picture(self._rows[row].column(0)[0])

    def name(self, row: int) -> str:
        """The split with the row."""
        return f"{self._cells.where}[{row}]"


def read_hub(place: str) -> Found:
    """Load `hf:ORG/NAME` or `hf:ORG/NAME:CONFIG`, from the hub or from what was loaded before.

    Raises `InputError` when `datasets` isn't installed, or the data set can't be loaded.
    """
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            f"{place}: expected the library datasets; install it with pip install 'deceive[hf]'"
        ) from error
    name, _, configuration = place.removeprefix(PREFIX).partition(":")
    try:
        loaded = datasets.load_dataset(name, configuration or None)
    except Exception as error:  # the library raises anything
        raise InputError(
            f"{place}: expected a data set of Hugging Face's hub (hf:ORG/NAME or "
            f"hf:ORG/NAME:CONFIG); {on_one_line(str(error)) or type(error).__name__}"
        ) from error
    return found_in(loaded, place)


def found_in(loaded: Any, where: str) -> Found:
    """The parts of a `DatasetDict`, or of one `Dataset`."""
    splits = loaded if isinstance(loaded, Mapping) else {"all": loaded}
    parts: dict[PartName, Part] = {}
    digest = hashlib.sha256()
    names: tuple[str, ...] = ()
    notes = []
    for name, dataset in splits.items():
        part = part_named(str(name)) or "all"
        columns = columns_of(dataset.features.arrow_schema, where)
        labels = labels_in(
            dataset.select_columns([columns.label]).with_format("arrow")[:].column(0)
        )
        if part in parts:
            notes.append(f"the split {name} is left out")
            continue
        parts[part] = Part(HubPictures(dataset, columns.image, f"{where} ({name})"), labels)
        names = names or columns.class_names
        digest.update(repr((part, str(dataset._fingerprint), labels.tolist())).encode())
    if len(parts) > 1:
        parts.pop("all", None)
    return Found(parts, digest.hexdigest(), names, tuple(notes))
