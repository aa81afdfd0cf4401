"""MNIST's files: images and labels, for training and for testing, in IDX format."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deceive.common.errors import InputError
from deceive.data.idx import by, checksum, instead, read_idx
from deceive.data.joining import check_labels, joined
from deceive.data.readers.layout import Layout
from deceive.data.readers.levels import Levels
from deceive.data.readers.reader import Found, Part, PartName, Reader
from deceive.data.source import Source

_NAME = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<kind>images|labels)[-.]idx[13]-ubyte"
)
_PARTS: dict[str, PartName] = {"train": "train", "t10k": "test", "test": "test"}
_KINDS = {"images": "idx3", "labels": "idx1"}


@dataclass(frozen=True)
class _Pair:
    """The two files of a split."""

    images: Path
    labels: Path


@dataclass(frozen=True, eq=False)
class _Read:
    """Their content."""

    pairs: Mapping[PartName, _Pair]
    images: dict[PartName, NDArray[np.uint8]]
    labels: dict[PartName, NDArray[np.int64]]
    checksums: tuple[str, ...]


def recognises(place: Path) -> bool:
    """Whether it holds files with such names, or is one."""
    if place.is_dir():
        return any(_named(each) for each in place.iterdir())
    return bool(_named(place)) and place.is_file()


def read(place: Path) -> Found:
    """Read both pairs of a set, or the one there is."""
    folder = place if place.is_dir() else place.parent
    sets: dict[str, set[str]] = {}
    for each in [place] if place.is_file() else folder.iterdir():
        if (match := _named(each)) is not None:
            sets.setdefault(match["set"], set()).add(match["part"])
    if len(sets) > 1 and "" not in sets:
        example = f"{min(sets)}{min(sets[min(sets)])}-images-idx3-ubyte"
        raise InputError(
            f"{folder}: expected one data set, got {', '.join(sorted(sets))}; name one by a file "
            f"of it, as {folder / example}"
        )
    name = "" if "" in sets else next(iter(sets))
    if place.is_file():
        sets[name] = {m["part"] for p in folder.iterdir() if (m := _named(p)) and m["set"] == name}
    files = _read(
        {_PARTS[each]: _pair(folder, name + each) for each in sorted(sets[name], reverse=True)}
    )
    return _emnist(files, folder, name) if name.startswith("emnist-") else _found(files)


def read_source(folder: Path, source: Source) -> Found:
    """Read the source's four files, and verify them.

    Raises `InputError` when files are missing or have other checksums.
    """
    paths = [_find(folder, name) for name in source.sha256]
    files = _read({"train": _Pair(*paths[:2]), "test": _Pair(*paths[2:])})
    source.verify(paths, files.checksums)
    return _found(files)


def _named(path: Path) -> re.Match[str] | None:
    return _NAME.fullmatch(path.name.removesuffix(".gz"))


def _pair(folder: Path, stem: str) -> _Pair:
    return _Pair(*(_find(folder, f"{stem}-{kind}-{idx}-ubyte") for kind, idx in _KINDS.items()))


def _read(pairs: Mapping[PartName, _Pair]) -> _Read:
    arrays = [read_idx(path) for pair in pairs.values() for path in (pair.images, pair.labels)]
    images, labels = {}, {}
    for number, (part, pair) in enumerate(pairs.items()):
        two = arrays[2 * number : 2 * number + 2]
        images[part], labels[part] = joined((pair.images, pair.labels), *two)
    _check_sizes(pairs, images)
    return _Read(pairs, images, labels, tuple(checksum(array) for array in arrays))


def _check_sizes(
    pairs: Mapping[PartName, _Pair], images: Mapping[PartName, NDArray[np.uint8]]
) -> None:
    if len(images) < 2:
        return
    train, test = images["train"].shape[1:], images["test"].shape[1:]
    if train != test:
        raise InputError(
            f"{pairs['test'].images}: expected images of {by(train)} as in "
            f"{pairs['train'].images.name}, got {by(test)}"
        )


def _found(files: _Read, names: Sequence[str] = (), notes: tuple[str, ...] = ()) -> Found:
    parts = {
        part: Part(
            Levels(images, files.pairs[part].images.name, Layout(images.shape[1:], "first")),
            files.labels[part],
        )
        for part, images in files.images.items()
    }
    return Found(
        parts,
        hashlib.sha256("".join(files.checksums).encode()).hexdigest(),
        names,
        notes,
        in_order=True,
        check=lambda: check_labels({files.pairs[k].labels: v for k, v in files.labels.items()}),
    )


def _emnist(files: _Read, folder: Path, name: str) -> Found:
    """EMNIST's images are stored transposed, and its letters numbered from 1."""
    notes = ["EMNIST stores images transposed: they were turned upright"]
    for part, images in files.images.items():
        files.images[part] = np.ascontiguousarray(images.swapaxes(2, 3))
    if "letters" in name and min(int(each.min()) for each in files.labels.values()) == 1:
        for part, labels in files.labels.items():
            files.labels[part] = labels - 1
        notes.append("EMNIST numbers letters from 1: class 0 is the one labelled 1")
    return _found(files, _emnist_names(folder, name), tuple(notes))


def _emnist_names(folder: Path, name: str) -> list[str]:
    """The characters in its mapping file, whose lines are a label and codes of characters."""
    mapping: dict[int, str] = {}
    with suppress(OSError, ValueError, OverflowError):  # names are only for show
        for line in (folder / f"{name}mapping.txt").read_text("ascii").splitlines():
            label, code, *_ = map(int, line.split())
            mapping[label] = chr(code)
    return [mapping[label] for label in sorted(mapping)]


def _find(folder: Path, name: str) -> Path:
    """The file of that name or another spelling; unpacked ones first, as they are read faster."""
    dotted = name.replace("-idx", ".idx")
    if not folder.is_dir():
        raise InputError(
            f"{folder}: expected a folder with {name} and its three companions, "
            f"found {instead(folder)}"
        )
    for spelling in (name, dotted, f"{name}.gz", f"{dotted}.gz"):
        # Some archives hold folders with the files' names beside the files.
        if (folder / spelling).is_file():
            return folder / spelling
    raise InputError(f"{folder / name}: expected this file, or the same with .gz; found neither")


READER = Reader(
    name="IDX",
    example="DIR/train-images-idx3-ubyte.gz",
    recognises=recognises,
    read=read,
)
