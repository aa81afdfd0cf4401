"""What to say about a place that holds no labelled pictures, and what to do about it."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from deceive.common.checks import few, meant
from deceive.data.decoding import endings
from deceive.data.idx import instead
from deceive.data.readers.reader import Reader

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_PICKLES = (".pkl", ".pickle", ".pt", ".pth")
_CLASSES = "put pictures into a folder for each class, as DIR/cat/1.jpg, and name DIR"
_MOST = 10_000
"""Files looked at."""
_FOLDERS = 200
"""Folders looked into for known layouts, and how many such are named."""


def nothing_known(place: Path, readers: Sequence[Reader]) -> str:
    """One sentence: what was expected, what is there, and the remedy.

    Args:
        place: a file or folder that none of the readers recognises.
        readers: of the known layouts.
    """
    expected = f"{place}: expected a folder or file of labelled pictures, found"
    if place.is_symlink() and not place.exists():
        return f"{expected} a link that leads nowhere, to {place.readlink()}"
    if not place.exists():
        return f"{expected} nothing{_meant(place)}"
    known = "; ".join(f"{each.name} ({each.example})" for each in reversed(readers))
    if place.is_dir():
        return f"{expected} {_below(place, readers) or _in_folder(place)}"
    ending = place.suffix.lower()
    if ending in _ARCHIVES:
        return f"{expected} an archive; unpack it, and name the folder"
    if ending in endings():
        return f"{expected} a single picture; {_CLASSES}"
    if ending in _PICKLES:
        return f"{expected} a pickle, which is never opened; save its arrays as .npz"
    return f"{expected} {instead(place)}; known are {known}; and hf:ORG/NAME"


def _below(place: Path, readers: Sequence[Reader]) -> str:
    """The folders below a folder that are of a known layout, to name instead; "" for none."""
    found: list[str] = []
    for name, inside, _ in islice(os.walk(place), _FOLDERS):
        inside[:] = sorted(each for each in inside if not each.startswith("."))
        folder = Path(name)
        with suppress(OSError):  # unreadable
            if folder != place and any(each.recognises(folder) for each in readers):
                inside.clear()
                found.append(name)
    match found:
        case []:
            return ""
        case [only]:
            return f"some in {only}; name that folder"
    return f"some in each of {few(found)}; name one of them"


def _in_folder(place: Path) -> str:
    """What is in a folder, and the remedy."""
    paths = list(islice(_files(place), _MOST))
    if not paths:
        inner = any(each.is_dir() for each in place.iterdir())
        return f"{'folders without any file' if inner else 'an empty folder'}; {_CLASSES}"
    broken = [path for path in paths if not path.exists()]
    if broken:
        return (
            f"{len(broken):,} {'link' if len(broken) == 1 else 'links'} that lead nowhere, such as "
            f"{broken[0].relative_to(place)} to {broken[0].readlink()}; mend them, or copy the "
            "pictures"
        )
    for path in paths:
        if path.suffix.lower() in _ARCHIVES:
            return f"an archive, {path.relative_to(place)}; unpack it, and name the folder"
    kinds = Counter(path.suffix.lower() or "without an ending" for path in paths)
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(3))
    return f"no picture among its files ({listed}); {_CLASSES}"


def _files(place: Path) -> Iterator[Path]:
    """All files below a folder, and links that lead nowhere."""
    for folder, _, names in os.walk(place):
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _meant(place: Path) -> str:
    """The question whether a similar name beside it was meant."""
    try:
        names = [each.name for each in place.parent.iterdir()]
    except (OSError, ValueError):
        return ""
    return meant(place.name, names)
