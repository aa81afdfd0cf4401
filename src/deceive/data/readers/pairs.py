"""Arrays of pictures and labels that belong together by their names."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deceive.common.errors import InputError
from deceive.data.idx import by
from deceive.data.names import part_named, words_in
from deceive.data.readers.levels import ArrayLike, Levels, levels_of
from deceive.data.readers.mnist import as_mnist
from deceive.data.readers.reader import Found, Part, PartName

_IMAGES = ("x", "images", "image", "imgs", "img", "pixels", "pictures", "features", "data")
_LABELS = ("y", "labels", "label", "targets", "target", "classes", "class")


@dataclass(frozen=True)
class Pair:
    """The names of two arrays."""

    images: str
    labels: str | None


def pairs_in(names: Iterable[str]) -> dict[PartName, Pair]:
    """The arrays of each part, by their names; without labels where there are none.

    >>> pairs_in(["x_train", "y_train", "test_images", "test_labels"])["test"]
    Pair(images='test_images', labels='test_labels')
    >>> pairs_in(["images", "targets", "steps"])
    {'all': Pair(images='images', labels='targets')}
    """
    kinds: dict[PartName, tuple[list[str], list[str]]] = {}
    for name in names:
        words = words_in(name)
        for index, known in enumerate((_IMAGES, _LABELS)):
            if any(word in known for word in words):
                kinds.setdefault(part_named(name) or "all", ([], []))[index].append(name)
    pairs: dict[PartName, Pair] = {}
    for part, (images, labels) in kinds.items():
        if images:
            best = min(images, key=lambda name: _rank(name, _IMAGES))
            rest = [name for name in labels if name != best]
            pairs[part] = Pair(
                best, min(rest, key=lambda name: _rank(name, _LABELS)) if rest else None
            )
    if len(pairs) > 1:
        pairs.pop("all", None)
    return pairs


def _rank(name: str, known: tuple[str, ...]) -> int:
    return min(known.index(word) for word in words_in(name) if word in known)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures in any known layout, with labels."""

    images: ArrayLike
    """(N, …)."""
    labels: NDArray[Any] | None
    identity: str
    """What tells the pictures from others, such as a checksum."""


def joined_pairs(pairs: Mapping[PartName, Labelled], where: str) -> Found:
    """Pictures with their labels, after checks.

    Args:
        pairs: pictures and labels of each part.
        where: what messages call them.

    Raises:
        InputError: when an array isn't one of pictures, or there are more or fewer labels, or no
            part has labels, or parts have pictures of different shapes.
    """
    parts: dict[PartName, Part] = {}
    notes: list[str] = []
    digest = hashlib.sha256()
    for part, pair in pairs.items():
        labels = pair.labels
        named = where if part == "all" else f"{where} ({part})"
        if labels is None:
            notes.append(f"{part}: there are no labels; left out")
            continue
        pictures = levels_of(pair.images, named)
        if len(labels.shape) == 0 or len(pictures) != len(labels):
            raise InputError(
                f"{named}: expected {len(pictures):,} labels, one for each picture, got "
                f"{by(labels.shape) or 'one'}"
            )
        parts[part] = Part(pictures, labels)
        described = (part, pair.images.shape, pair.identity, str(labels.dtype), labels.shape)
        digest.update(repr(described).encode())
        digest.update(np.ascontiguousarray(labels).tobytes())
    if not parts:
        raise InputError(f"{where}: expected labels beside the pictures, found none")
    _check_alike(parts, where)
    if (mnist := as_mnist(parts)) is not None:
        return mnist
    return Found(parts, digest.hexdigest(), notes=(*notes, *_about(parts)))


def _check_alike(parts: Mapping[PartName, Part], where: str) -> None:
    shapes = {part: _levels(each).layout.shape for part, each in parts.items()}
    if len(set(shapes.values())) > 1:
        said = ", ".join(f"{by(shape)} ({part})" for part, shape in shapes.items())
        raise InputError(f"{where}: expected pictures of one shape, got {said}")


def _about(parts: Mapping[PartName, Part]) -> list[str]:
    """What was taken for what, where it isn't plain."""
    notes = []
    layouts = {_levels(each).layout for each in parts.values()}
    if any(each.channels == "last" and each.shape[0] > 1 for each in layouts):
        notes.append("channels come last")
    values = {str(_levels(each).values) for each in parts.values()}
    if values != {"from 0 to 255"}:
        notes.append(f"values are {' and '.join(sorted(values))}")
    return notes


def _levels(part: Part) -> Levels:
    assert isinstance(part.pictures, Levels)
    return part.pictures
