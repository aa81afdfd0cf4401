"""Labels of any kind as classes 0 to K - 1, with their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.common.checks import counted, few, on_one_line
from deceive.common.errors import InputError
from deceive.data.joining import ranges
from deceive.data.readers.reader import PartName

Labels = Mapping[PartName, NDArray[Any]]


@dataclass(frozen=True)
class Classes:
    """Labels as numbers of classes."""

    labels: dict[PartName, Tensor]
    """(N,) int64 of each part."""
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def classes_of(
    raw: Labels, names: Sequence[str] = (), *, where: str, any_labels: bool = False
) -> Classes:
    """Number the classes of all parts together.

    Names are numbered in their order as text. Numbers keep their meaning: they are 0 to K - 1, or 1
    to K. With `names`, classes without pictures are dropped.

    Args:
        raw: labels of each part.
        names: the names of labels 0, 1, ….
        where: the place, for messages.
        any_labels: accept gaps, and a single class.

    Raises:
        InputError: when labels are neither whole numbers nor names, or there are gaps, or fewer
            than two classes.
    """
    flat = {part: _flat(labels, where) for part, labels in raw.items()}
    kinds = {labels.dtype.kind for labels in flat.values()}
    if "U" in kinds:
        found = _by_name(flat)
    else:
        found = _by_number(flat, names, where, any_labels=any_labels)
    if len(found.names) < 2 and not any_labels:
        raise InputError(
            f"{where}: expected pictures of at least 2 classes, got 1 class "
            f"({', '.join(found.names)}); a classifier tells classes apart, so add pictures of "
            "another one, as DIR/dog/1.jpg beside DIR/cat/1.jpg"
        )
    return replace(found, names=tuple(map(on_one_line, found.names)))


def _flat(labels: NDArray[Any], where: str) -> NDArray[Any]:
    """(N,) int64 or text."""
    if labels.dtype.kind in "SO":
        labels = np.array([_text(each) for each in labels.ravel()]).reshape(labels.shape)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "biuf" and _is_one_hot(labels):
        columns: NDArray[np.int64] = labels.argmax(1)
        return columns
    if labels.ndim != 1 or labels.dtype.kind not in "biufU":
        raise InputError(
            f"{where}: expected a label for each picture, a number or a name, got labels of "
            f"{labels.dtype} {labels.shape}"
        )
    if labels.dtype.kind == "U":
        return labels
    with np.errstate(invalid="ignore"):
        whole = labels.astype(np.int64)
    if not (whole == labels).all():
        raise InputError(f"{where}: expected whole numbers as labels, got others")
    return whole


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _is_one_hot(labels: NDArray[Any]) -> bool:
    return bool(((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all())


def _by_name(flat: Labels) -> Classes:
    each_part = [np.unique(labels.astype(np.str_)) for labels in flat.values()]
    names = np.unique(np.concatenate(each_part))
    labels = {
        part: torch.from_numpy(np.searchsorted(names, labels.astype(np.str_)))
        for part, labels in flat.items()
    }
    return Classes(labels, tuple(names.tolist()), _absences(labels, names.tolist()))


def _by_number(flat: Labels, names: Sequence[str], where: str, *, any_labels: bool) -> Classes:
    values = np.unique(np.concatenate(list(flat.values())))
    low, high = int(values[0]), int(values[-1])
    notes: tuple[str, ...] = ()
    if names and 0 <= low <= high < len(names):
        kept = [str(names[value]) for value in values]
        if len(kept) < len(names):
            notes = (f"{len(names) - len(kept):,} of {len(names):,} classes have no pictures",)
        labels = _numbered(flat, values)
        return Classes(labels, tuple(kept), notes + _absences(labels, kept))
    if names and low >= 1 and high == len(names):
        return _by_number({k: v - 1 for k, v in flat.items()}, names, where, any_labels=any_labels)
    if low == 1 and high == len(values):
        notes = (f"labels are 1 to {high}: class 0 is the one labelled 1",)
    elif any_labels and (low < 0 or high >= 2 * len(values) + 1000):
        return Classes(_numbered(flat, values), tuple(str(each) for each in values))
    elif not any_labels and (low != 0 or high != len(values) - 1):
        raise InputError(_about_gaps(values, where))
    if notes:
        flat = {part: labels - 1 for part, labels in flat.items()}
        high -= 1
    labels = {part: torch.from_numpy(each) for part, each in flat.items()}
    shown = tuple(str(each) for each in range(high + 1))
    return Classes(labels, shown, notes if any_labels else notes + _absences(labels, shown))


def _numbered(flat: Labels, values: NDArray[Any]) -> dict[PartName, Tensor]:
    return {k: torch.from_numpy(np.searchsorted(values, v)) for k, v in flat.items()}


def _absences(labels: Mapping[PartName, Tensor], names: Sequence[str]) -> tuple[str, ...]:
    """A note for each part that lacks classes."""
    notes = []
    for part, each in labels.items():
        there = set(each.tolist())
        if lacking := [name for number, name in enumerate(names) if number not in there]:
            notes.append(
                f"{part}: no pictures of {counted(len(lacking), 'class')} ({few(lacking)})"
            )
    return tuple(notes)


def _about_gaps(values: NDArray[Any], where: str) -> str:
    low, high = int(values[0]), int(values[-1])
    unused = sorted(set(range(min(high, 10**6))) - set(values.tolist()))
    lacking = f" without {ranges(unused)}" if unused else ""
    return (
        f"{where}: expected labels 0, 1, 2, … with no gaps, got labels {low} to {high}{lacking}; "
        "renumber the classes, and remove unlabelled images (often labelled -1 or 255)"
    )
