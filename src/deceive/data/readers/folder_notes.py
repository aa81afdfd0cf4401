"""What is said about class folders: what was left out, and what was taken for what."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from deceive.common.checks import counted, few
from deceive.data.decoding import endings
from deceive.data.names import part_named
from deceive.data.readers.walking import folders_in, pictures_in


def notes_on(root: Path, splits: Sequence[Path]) -> list[str]:
    """What was left out below a folder, and what was taken for what.

    Args:
        root: the folder.
        splits: those in it that hold class folders; none if it holds them itself.
    """
    notes = list(_beside(root, splits)) if splits else []
    for place in splits or [root]:
        notes += _left_out(place)
        notes += _within_classes(place)
    return notes


def about_skipped(skipped: Counter[str]) -> str:
    """A sentence that counts files by their ending."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in skipped.most_common(5))
    is_one = skipped.total() == 1
    said = (
        "file that is no picture" if is_one else f"{skipped.total():,} files that are no pictures"
    )
    return f"skipped {'a ' * is_one}{said}: {kinds}"


def _beside(root: Path, splits: Sequence[Path]) -> Iterator[str]:
    """Folders with pictures beside the splits."""
    taken = {root / each.relative_to(root).parts[0] for each in splits}
    others = [each.name for each in folders_in(root) if each not in taken and _holds_any(each)]
    if others:
        yield f"{few(others)}, beside the splits, without class folders or a known name: left out"


def _left_out(place: Path) -> Iterator[str]:
    """Class folders without pictures, and pictures that lie beside class folders."""
    inside = folders_in(place)
    empty = [each.name for each in inside if not _holds_any(each)]
    if empty:
        yield (
            f"{counted(len(empty), 'folder')} without pictures in {place.name} ({few(empty)}): "
            "not counted as classes"
        )
    with os.scandir(place) as entries:
        ends = [os.path.splitext(each.name)[1].lower() for each in entries]  # noqa: PTH122
    if inside and (loose := sum(end in endings() for end in ends)):
        yield f"{counted(loose, 'picture')} in {place.name}, beside its class folders: left out"


def _within_classes(place: Path) -> Iterator[str]:
    """Folders in class folders, whose pictures belong to the class."""
    inner = {each.name: [deep.name for deep in folders_in(each)] for each in folders_in(place)}
    inner = {name: deep for name, deep in inner.items() if deep}
    if not inner:
        return
    first, deep = next(iter(inner.items()))
    said = f"folders within a class folder belong to its class, as {few(deep)} to {first}"
    if any(map(part_named, deep)):
        said += "; for a split, put it above the classes, as DIR/test/cat/1.jpg"
    elif len(inner) > 1:
        said += f"; if those are the classes, put them into one folder, as DIR/{deep[0]}/1.jpg"
    yield said


def _holds_any(folder: Path) -> bool:
    return next(pictures_in(folder, Counter()), None) is not None
