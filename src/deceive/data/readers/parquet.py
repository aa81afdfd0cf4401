"""Parquet files with a picture and a label in each row, as on Hugging Face's hub."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from deceive.common.checks import on_one_line
from deceive.common.errors import InputError
from deceive.data.names import part_named
from deceive.data.readers.columns import Cells, Columns, arrow_for, columns_of, labels_in
from deceive.data.readers.reader import Found, Part, PartName, Pictures, Reader, UnreadableError

_ROOM = 128 * 2**20
"""Bytes of row groups that are kept."""


class Rows(Pictures):
    """Pictures in the rows of Parquet files. A row group is read when one of its rows is."""

    def __init__(self, paths: Sequence[Path], column: str) -> None:
        """Read the files' footers."""
        self._paths = paths
        self._column = column
        self._cells = Cells(paths[0].parent, str(paths[0].parent))
        self._files = [_opened(path) for path in paths]
        self._groups = [
            (file, group)
            for file, each in enumerate(self._files)
            for group in range(each.num_row_groups)
        ]
        counts = [self._files[f].metadata.row_group(g).num_rows for f, g in self._groups]
        self._begins = np.cumsum([0, *counts])
        self._kept: OrderedDict[int, Any] = OrderedDict()

    def __len__(self) -> int:
        return int(self._begins[-1])

    def one(self, row: int) -> Tensor:
        """A picture (C, h, w) uint8."""
        group = int(np.searchsorted(self._begins, row, side="right")) - 1
        return self._cells.picture(self._read(group)[row - int(self._begins[group])])

    def name(self, row: int) -> str:
        """Its file, and its row there."""
        group = int(np.searchsorted(self._begins, row, side="right")) - 1
        file = self._groups[group][0]
        first = next(n for n, (each, _) in enumerate(self._groups) if each == file)
        return f"{self._paths[file].name}[{row - int(self._begins[first])}]"

    def _read(self, group: int) -> Any:
        """The column in a row group; the last ones read are kept."""
        if group not in self._kept:
            file, inside = self._groups[group]
            try:
                table = self._files[file].read_row_group(inside, columns=[self._column])
            except Exception as error:  # pyarrow raises its own and the system's
                raise UnreadableError(on_one_line(str(error))) from error
            self._kept[group] = table.column(0)
            while len(self._kept) > 1 and sum(c.nbytes for c in self._kept.values()) > _ROOM:
                self._kept.popitem(last=False)
        self._kept.move_to_end(group)
        return self._kept[group]


def recognises(place: Path) -> bool:
    """Whether it is such a file, or a folder with some."""
    return bool(_files(place))


def read(place: Path) -> Found:
    """Read the files' footers and the labels."""
    by_part: dict[PartName, list[Path]] = {}
    for path in _files(place):
        part = part_named(path.stem) or part_named(path.parent.name) or "all"
        by_part.setdefault(part, []).append(path)
    if len(by_part) > 1:
        by_part.pop("all", None)
    parts: dict[PartName, Part] = {}
    digest = hashlib.sha256()
    names: tuple[str, ...] = ()
    for part, paths in by_part.items():
        if len(folders := sorted({str(path.parent) for path in paths})) > 1:
            raise InputError(
                f"{place}: expected one folder of Parquet files, got several: name one, as "
                f"{folders[0]}"
            )
        columns = columns_of(_opened(paths[0]).schema_arrow, paths[0])
        labels = np.concatenate([_labels(path, columns) for path in paths])
        parts[part] = Part(Rows(paths, columns.image), labels)
        names = names or columns.class_names
        digest.update(repr((part, [path.stat().st_size for path in paths])).encode())
        digest.update(repr(labels.tolist()).encode())
    return Found(parts, digest.hexdigest(), names)


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(
            each
            for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet")
            for each in place.glob(pattern)
            if each.is_file()
        )
    return [place] if place.suffix == ".parquet" and place.is_file() else []


def _opened(path: Path) -> Any:
    arrow = arrow_for(path)
    try:
        return arrow.parquet.ParquetFile(path, memory_map=True)
    except Exception as error:  # pyarrow raises its own and the system's
        raise _damage(path, error) from error


def _labels(path: Path, columns: Columns) -> Any:
    file = _opened(path)
    try:
        return labels_in(file.read(columns=[columns.label]).column(0))
    except Exception as error:  # pyarrow raises its own and the system's
        raise _damage(path, error) from error


def _damage(path: Path, error: Exception) -> InputError:
    said = on_one_line(str(error)) or type(error).__name__
    return InputError(f"{path}: expected a Parquet file with pictures and labels; {said}")


READER = Reader(
    name="Parquet",
    example="columns image, label",
    recognises=recognises,
    read=read,
)
