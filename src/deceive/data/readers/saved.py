"""A folder that Hugging Face's `datasets` wrote with `save_to_disk`: Arrow files, mapped."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from deceive.common.checks import on_one_line
from deceive.common.errors import InputError
from deceive.data.names import part_named
from deceive.data.readers.columns import Cells, arrow_for, columns_of, labels_in
from deceive.data.readers.reader import Found, Part, PartName, Pictures, Reader

_INFO, _SPLITS = "dataset_info.json", "dataset_dict.json"


class Column(Pictures):
    """Pictures in a column of an Arrow table."""

    def __init__(self, column: Any, cells: Cells) -> None:
        """A pyarrow chunked array, and what decodes its cells."""
        self._column = column
        self._cells = cells

    def __len__(self) -> int:
        return len(self._column)

    def one(self, row: int) -> Tensor:
        """A picture (C, h, w) uint8."""
        return self._cells.picture(self._column[row])

    def name(self, row: int) -> str:
        """The column's place with the row."""
        return f"{self._cells.where}[{row}]"


def recognises(place: Path) -> bool:
    """Whether it is such a folder, of one split or of several."""
    return (place / _SPLITS).is_file() or (place / _INFO).is_file()


def read(place: Path) -> Found:
    """Map the tables, and read the labels."""
    splits = [each.parent for each in sorted(place.glob(f"*/{_INFO}"))] or [place]
    parts: dict[PartName, Part] = {}
    digest = hashlib.sha256()
    names: tuple[str, ...] = ()
    for folder in splits:
        part = (part_named(folder.name) if folder != place else None) or "all"
        table = _table(folder)
        columns = columns_of(table.schema, folder)
        labels = labels_in(table.column(columns.label))
        parts[part] = Part(Column(table.column(columns.image), Cells(folder, folder.name)), labels)
        names = names or columns.class_names
        digest.update(repr((part, table.nbytes, labels.tolist())).encode())
    if len(parts) < len(splits):
        raise InputError(
            f"{place}: expected splits named train, validation and test, got "
            f"{', '.join(folder.name for folder in splits)}; name one of their folders"
        )
    return Found(parts, digest.hexdigest(), names)


def _table(folder: Path) -> Any:
    arrow = arrow_for(folder)
    files: Sequence[Path] = sorted(folder.glob("*.arrow"))
    if not files:
        raise InputError(f"{folder}: expected a data set's .arrow files, found none")
    tables = []
    for path in files:
        try:
            tables.append(arrow.ipc.open_stream(arrow.memory_map(str(path))).read_all())
        except Exception as error:  # pyarrow raises its own and the system's
            said = on_one_line(str(error)) or type(error).__name__
            raise InputError(f"{path}: expected an Arrow file; {said}") from error
    try:
        return arrow.concat_tables(tables)
    except arrow.ArrowException as error:
        raise InputError(
            f"{folder}: expected files with the same columns; {on_one_line(str(error))}"
        ) from error


READER = Reader(
    name="save_to_disk of datasets",
    example="dataset_info.json",
    recognises=recognises,
    read=read,
)
