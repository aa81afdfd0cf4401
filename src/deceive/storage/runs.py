"""The run folder: settings, environment, rows, arrays and weights. Written so that a run resumes.

A row is one JSON object on a line of `rows.jsonl`, written when its part is whole; a part whose row
is there is never done again.
"""

import copy
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deceive.common import checks
from deceive.common.arrays import CANDIDATES, Arrays, Layout, read_arrays, write_arrays
from deceive.common.errors import InputError
from deceive.common.files import (
    LARGEST_JSON,
    parse_json,
    read_bounded,
    read_json,
    write_text,
)
from deceive.common.version import __version__
from deceive.fooling.result import FoolingResult
from deceive.storage.kinds import Kind, Row, word_of_old
from deceive.storage.places import check_files, check_place, holds_run, is_there


class Run:
    """A folder that holds one experiment: started by the first call, continued by the next ones.

    `word` is its kind's, or None for old settings that don't tell; `settings` are all others.

    Args:
        folder: a new or empty folder, or that of a run with the same settings.
        settings: what the run is made with, as JSON has it.
        kind: what kind of run it is; `settings.json` says so, and every row is checked.

    Raises:
        InputError: when the folder holds a run with other settings, or anything but a run.

    >>> from pathlib import Path
    >>> from deceive.storage.runs import Run
    >>> run = Run(Path("runs/mine"), {"seed": 0})
    >>> _ = run.add({"part": "training", "accuracy": 0.99})
    >>> Run.open(Path("runs/mine")).row(part="training")
    {'part': 'training', 'accuracy': 0.99}
    """

    def __init__(self, folder: Path, settings: Row, kind: Kind | None = None) -> None:
        path = folder / "settings.json"
        check_files(folder)
        said = settings if kind is None else {"run": kind.word} | settings
        self.folder, self.kind = folder, kind
        self.word, self.settings = _parted(said, path)
        if kind is not None:
            self._check(kind)
        if is_there(path):
            self._continue(path)
        else:
            self._begin(path)

    def _continue(self, path: Path) -> None:
        word, earlier = _parted(read_json(path), path)
        if word != self.word:
            raise InputError(
                f"{self.folder}: expected a run of the kind {self.word!r}, got {word!r}; "
                "choose another folder, or start over with --fresh"
            )
        if earlier != self.settings:
            changed = ", ".join(sorted(_differing(earlier, self.settings)))
            raise InputError(
                f"{self.folder}: expected a run with the same settings, got one that differs in "
                f"{checks.on_one_line(changed)}; choose another folder, or start "
                "over with --fresh"
            )

    def _begin(self, path: Path) -> None:
        check_place(self.folder)
        if holds_run(self.folder):
            raise InputError(
                f"{path}: expected the settings of the run in this folder, got none; "
                "choose another folder, or start over with --fresh"
            )
        environment = {
            "deceive": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
        }
        write_text(path.with_name("environment.json"), json.dumps(environment, indent=2) + "\n")
        said = {} if self.kind is None else {"run": self.kind.word}
        write_text(path, json.dumps(said | self.settings, indent=2) + "\n")

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """The run that is in `folder`, with the settings it has. Raises `InputError` when none is.

        Writes nothing.
        """
        path = folder / "settings.json"
        if not is_there(path):
            raise InputError(f"{folder}: expected the folder of a run, found no {path.name} in it")
        return cls(folder, read_json(path))

    def of(self, kind: Kind) -> "Run":
        """The same run, checked to be of that kind; its rows are checked when read.

        Raises `InputError` when its settings are damaged or of another kind.
        """
        self._check(kind)
        run = copy.copy(self)
        run.kind = kind
        return run

    def _check(self, kind: Kind) -> None:
        """Raise `InputError` unless the settings are those of such a run."""
        if self.word not in (None, kind.word):
            raise InputError(
                f"{self.folder}: expected the folder of {kind.name}, got a run of the kind "
                f"{self.word!r}"
            )
        kind.check_settings(self.settings, self.folder)

    @property
    def environment(self) -> Row:
        """The versions and the machine that the run started with."""
        return read_json(self.folder / "environment.json")

    def rows(self) -> list[Row]:
        """All rows, in the order they were written. Raises `InputError` for a damaged one."""
        path = self.folder / "rows.jsonl"
        if not is_there(path):
            return []
        lines = read_bounded(path, LARGEST_JSON, "rows").splitlines()
        return [self._parsed(line, f"{path}, line {n}") for n, line in enumerate(lines, start=1)]

    def _parsed(self, line: bytes, where: str) -> Row:
        row = parse_json(line, where)
        if self.kind is not None:
            self.kind.check(self.settings, row, where)
        return row

    def row(self, **like: Any) -> Row | None:
        """The first row that has all these values, if there is one."""
        matching = (row for row in self.rows() if like.items() <= row.items())
        return next(matching, None)

    def add(self, row: Row) -> Row:
        """Append a row; the file is replaced atomically, so no reader sees half a line.

        Raises `InputError` for a row that could not be read back.
        """
        path = self.folder / "rows.jsonl"
        lines = [json.dumps(each) for each in [*self.rows(), row]]
        self._parsed(lines[-1].encode(), f"{path}, line {len(lines)}")
        write_text(path, "\n".join(lines) + "\n")
        return row

    def save_arrays(self, name: str, **arrays: NDArray[Any]) -> None:
        """Write `arrays/NAME.npz`."""
        write_arrays(self.folder / "arrays" / f"{name}.npz", **arrays)

    def has_arrays(self, name: str) -> bool:
        """Whether `arrays/NAME.npz` is there."""
        return is_there(self.folder / "arrays" / f"{name}.npz")

    def load_arrays(self, name: str, layout: Layout | None = None, **sizes: int) -> Arrays:
        """Read `arrays/NAME.npz` with this layout (`arrays.read_arrays`).

        Raises `InputError` when it is missing, damaged, or doesn't match.
        """
        return read_arrays(self.folder / "arrays" / f"{name}.npz", layout, **sizes)

    def arrays_like(self, pattern: str) -> frozenset[str]:
        """The names of the arrays with names like this (`*` stands for anything)."""
        return frozenset(path.stem for path in (self.folder / "arrays").glob(f"{pattern}.npz"))

    def drop_arrays(self, pattern: str) -> None:
        """Delete the arrays with names like this."""
        for name in self.arrays_like(pattern):
            (self.folder / "arrays" / f"{name}.npz").unlink(missing_ok=True)

    def weights(self, name: str) -> Path:
        """Where the weights of a network of this run are."""
        return weights_in(self.folder, name)


def weights_in(folder: Path, name: str) -> Path:
    """Where the weights of a network are in a run folder."""
    return folder / "weights" / f"{name}.safetensors"


def _differing(one: Row, other: Row) -> Iterator[str]:
    """The names of the values that differ; of nested ones, with a dot between their names."""
    for name in {*one, *other}:
        before, now = one.get(name), other.get(name)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from (f"{name}.{inner}" for inner in _differing(before, now))
        elif before != now:
            yield name


def _parted(settings: Row, path: Path) -> tuple[str | None, Row]:
    """The word of the run's kind, and its other settings, read from `path`."""
    if "run" not in settings:
        return word_of_old(settings), settings
    word = settings["run"]
    if not isinstance(word, str):
        raise InputError(f"{path}: expected run to name a kind of run, got {word!r:.80}")
    return word, {name: value for name, value in settings.items() if name != "run"}


def round_name(number: int) -> str:
    """The name of a round's arrays and weights."""
    return f"round-{number:06d}"


def arrays_of(result: FoolingResult) -> Arrays:
    """A fooling result as named arrays, images first."""
    return {name: getattr(result, name).numpy() for name in CANDIDATES}
