"""Names of classes that a user gives, in the order of the model's outputs."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

from deceive.common.errors import InputError
from deceive.common.files import read_bounded
from deceive.data.dataset import Dataset, RealData
from deceive.data.lazy import LazyDataset
from deceive.data.prepared import PreparedData
from deceive.data.sampling import SampledData

_MOST = 10 << 20
"""Bytes of a file of names."""


def names_in(text: str) -> tuple[str, ...]:
    """The names in a text or in a file: A,B,C, or one a line.

    >>> names_in('cat, "tench, Tinca tinca",dog')
    ('cat', 'tench, Tinca tinca', 'dog')

    Raises `InputError` when there is one name alone, and no such file.
    """
    if _is_file(text):
        content = read_bounded(Path(text), _MOST, "one class name per line")
        lines = content.decode("utf-8-sig", "replace").splitlines()
        return tuple(line.strip() for line in lines if line.strip())
    names = tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True), []))
    if len(names) < 2:
        raise InputError(
            f"class-names: expected names A,B,C, or a file with one name a line, got {text!r}"
        )
    return names


def as_text(names: Sequence[str]) -> str:
    """Names as `names_in` reads them.

    >>> as_text(["cat", "tench, Tinca tinca"])
    'cat,"tench, Tinca tinca"'
    """
    line = StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # names can be longer than any path
        return False


def check_names(names: Sequence[str]) -> None:
    """Raise `InputError` for fewer than two names, or the same twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"class_names: expected a name for each class, got {twice[0]!r} twice")
    if len(names) < 2:
        raise InputError(f"class_names: expected at least 2 names, got {len(names)}")


def named(data: RealData, names: Sequence[str] | None) -> RealData:
    """Data whose classes are numbers, with these names; other data as they are.

    There may be more names than classes, of outputs that the data have no pictures of.

    Raises `InputError` when there are fewer.
    """
    if names is None or data.class_names != tuple(map(str, range(data.n_classes))):
        return data
    if len(names) < data.n_classes:
        raise InputError(
            f"class_names: expected at least {data.n_classes} names, since the data's labels are "
            f"0 to {data.n_classes - 1}, got {len(names)}"
        )
    return _renamed(data, tuple(names[: data.n_classes]))


def _renamed(data: RealData, names: tuple[str, ...]) -> RealData:
    if isinstance(data, PreparedData):
        return replace(data, of=_renamed(data.of, names))
    assert isinstance(data, Dataset | LazyDataset | SampledData)
    return replace(data, class_names=names)
