"""Pixels in CSV files: a picture a row, its label in the first or the last column."""

import hashlib
import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deceive.common.checks import on_one_line
from deceive.common.errors import InputError
from deceive.data.idx import reason
from deceive.data.names import part_named
from deceive.data.readers.pairs import Labelled, joined_pairs
from deceive.data.readers.reader import Found, PartName, Reader

_LABELS = ("label", "class", "target", "y", "emotion")
_BLOCK = 2000
"""Rows parsed at once."""
_LEAST = 4
"""Pixels of the smallest picture."""


@dataclass(frozen=True)
class _Form:
    """How rows are written."""

    separator: str
    has_header: bool
    label: int | None
    """0 for the first column, -1 for the last; None without labels."""
    columns: int


def recognises(place: Path) -> bool:
    """Whether it is such a file, or a folder with some."""
    return any(_form(each) is not None for each in _files(place))


def read(place: Path) -> Found:
    """Parse the files into 8-bit levels."""
    files = {each: form for each in _files(place) if (form := _form(each)) is not None}
    parts: dict[PartName, list[Path]] = {}
    for path in files:
        parts.setdefault(part_named(path.stem) or "all", []).append(path)
    if len(parts) > 1:
        parts.pop("all", None)
    if doubled := [paths for paths in parts.values() if len(paths) > 1]:
        raise InputError(
            f"{place}: expected one CSV for each split, got "
            f"{', '.join(each.name for each in doubled[0])}; name one of them"
        )
    arrays = {part: _parsed(paths[0], files[paths[0]]) for part, paths in parts.items()}
    return joined_pairs(arrays, str(place))


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(each for each in place.glob("*.csv") if each.is_file())
    return [place] if place.suffix == ".csv" and place.is_file() else []


def _form(path: Path) -> _Form | None:
    """How its rows are written; None if they aren't pixels."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            first, second = (file.readline(2**20).strip() for _ in range(2))
    except OSError as error:
        raise InputError(f"{path}: expected a readable file; {reason(error)}") from error
    separator = max(",;\t", key=first.count)
    names, row = ([cell.strip(' "') for cell in line.split(separator)] for line in (first, second))
    has_header = not all(_is_number(cell) for cell in names[1:])
    row = row if has_header else names
    if len(names) != len(row) or len(row) <= _LEAST:
        return None
    if sum(map(_is_number, row)) < len(row) - 1:
        return None
    label: int | None = 0
    if has_header:
        named = [number for number, name in enumerate(names) if name.lower() in _LABELS]
        if named and named[0] not in (0, len(names) - 1):
            return None
        label = (0 if named[0] == 0 else -1) if named else None
    return _Form(separator, has_header, label, len(row))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parsed(path: Path, form: _Form) -> Labelled:
    """Pictures (N, pixels), and labels (N,)."""
    blocks, labels = [], []
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            if form.has_header:
                file.readline()
            lines = (line.strip() for line in file)
            rows = (line for line in lines if line)
            while block := list(itertools.islice(rows, _BLOCK)):
                if form.label is not None:
                    block, cells = _apart(block, form)
                    labels += cells
                blocks.append(_pixels(block, form))
    except (OSError, ValueError) as error:
        row = sum(map(len, blocks)) + 1
        raise InputError(
            f"{path}: expected a row of numbers for each picture; in the {_BLOCK:,} rows from row "
            f"{row:,} on, {on_one_line(reason(error))}"
        ) from error
    if not blocks:
        raise InputError(f"{path}: expected a row for each picture, got none")
    pictures = np.concatenate([*_alike(blocks)])
    identity = hashlib.sha256(pictures.tobytes()).hexdigest()
    return Labelled(pictures, None if form.label is None else np.array(_numbers(labels)), identity)


def _apart(block: Sequence[str], form: _Form) -> tuple[list[str], list[str]]:
    """Rows without their label, and the labels."""
    if form.label == 0:
        pairs = [line.partition(form.separator)[::2] for line in block]
        return [rest for _, rest in pairs], [label.strip(' "') for label, _ in pairs]
    pairs = [line.rpartition(form.separator)[::2] for line in block]
    return [rest for rest, _ in pairs], [label.strip(' "') for _, label in pairs]


def _pixels(block: Sequence[str], form: _Form) -> NDArray[Any]:
    """(n, pixels): uint8 where all are levels, else float32."""
    expected = form.columns - (form.label is not None)
    values = _whole(block, form.separator, expected)
    if values is None:
        values = np.loadtxt(
            block, np.float32, comments=None, delimiter=form.separator, ndmin=2, quotechar='"'
        )
    if values.shape[1] != expected:
        raise ValueError(f"expected {expected:,} pixels, got {values.shape[1]:,}")
    levels = values.clip(0, 255).astype(np.uint8)
    return levels if (levels == values).all() else values.astype(np.float32)


def _whole(block: Sequence[str], separator: str, columns: int) -> NDArray[np.int32] | None:
    """Whole numbers, ten times as fast; None if there is anything else."""
    if any(line.count(separator) != columns - 1 for line in block):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            values = np.fromstring(separator.join(block), np.int32, sep=separator)
        except (DeprecationWarning, ValueError):
            return None
    return values.reshape(-1, columns) if values.size == len(block) * columns else None


def _alike(blocks: Sequence[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Blocks of one type. Zeros and ones alone may be levels or not: other rows tell."""
    kinds = {block.dtype for block in blocks}
    kind = np.float32 if len(kinds) > 1 else next(iter(kinds))
    return (block.astype(kind, copy=False) for block in blocks)


def _numbers(labels: Sequence[str]) -> list[int] | list[str]:
    """Labels as whole numbers, if all of them are."""
    try:
        return [int(float(label)) if float(label).is_integer() else int(label) for label in labels]
    except (ValueError, OverflowError):
        return list(labels)


READER = Reader(
    name="CSV of pixels",
    example="label first",
    recognises=recognises,
    read=read,
)
