"""A tiny world: images with one bright quarter, two networks that read them, and runs with them.

Everything is small, so that a complete run takes about a second. The world is one folder; commands
run in their own folders beside it, with relative paths.
"""

import itertools
import os
import re
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from deceive.data.loading import load_data
from deceive.data.opening import open_data
from deceive.data.source import MNIST
from deceive.storage.models import save_network
from deceive.training.recipes import RECIPES, train
from soak.mutations import packed

VALIDATION = 60
"""Validation images; the default 5,000 would take most of the time."""

SHARED = ("data", "net.safetensors", "net.json", "judge.safetensors", "judge.json")
"""Files that every run shares."""


@dataclass(frozen=True)
class Kind:
    """A kind of run: a command line that writes into the folder `out`."""

    arguments: str
    given: str = ""
    """The kind of run whose result `out` this one starts from."""


_MODELS = "--judge judge.safetensors --data data"

KINDS = {
    "train": Kind("train --data data --epochs 2 --out out/net.safetensors"),
    "fool": Kind(
        "fool --model net.safetensors --judge judge.safetensors --steps 20 --count 2 "
        "--out out/fooled.npz"
    ),
    "fool-png": Kind(
        "fool --model net.safetensors --judge judge.safetensors --steps 20 --target 1 "
        "--out out/one.png"
    ),
    "study": Kind(
        f"study {_MODELS} --epochs 2 --training-images 1000 --candidates 2 --steps 10 "
        "--noise-images 40 --fooling-images 12 --out out"
    ),
    "rounds-draw": Kind(
        f"rounds {_MODELS} --rounds 6 --candidates 8 --kept 16 --shown 0 3 --measured 2 "
        "--judged 0 --training-images 300 --clean-digits 8 --ascent.schedule.steps 3 --out out"
    ),
    "rounds-judged": Kind(
        f"rounds {_MODELS} --rounds 2 --candidates 8 --kept 16 --shown 1 --measured 2 "
        "--judged 63 --training-images 300 --clean-digits 8 --ascent.schedule.steps 3 --out out"
    ),
    "rounds-resist": Kind(
        f"rounds --preset resist {_MODELS} --network fast --rounds 4 --candidates 8 --kept 16 "
        "--shown 2 --measured 1 --training-images 300 --searched 4 --steps 2 --out out"
    ),
    "rounds-readers": Kind(
        f"rounds --preset resist {_MODELS} --rounds 1 --candidates 8 --kept 16 --shown 0 "
        "--measured 1 --training-images 300 --searched 4 --steps 2 --out out"
    ),
    "rounds-study": Kind(
        f"rounds --preset study {_MODELS} --network fast --rounds 2 --candidates 12 --shown 0 1 "
        "--measured 2 --training-images 300 --epochs 1 --steps 10 --noise-images 20 --out out"
    ),
    "rounds-fresh": Kind(
        f"rounds {_MODELS} --rounds 2 --candidates 8 --kept 16 --shown 1 --measured 2 --judged 0 "
        "--training-images 300 --clean-digits 8 --ascent.schedule.steps 3 --fresh --out out",
        given="rounds-draw",
    ),
    "audit": Kind(
        f"audit net.safetensors {_MODELS} --candidates 4 --steps 10 --curve-candidates 4 "
        "--searched 2 --queries 100 --garbage-images 10 --out out"
    ),
    "draw": Kind(
        "draw --model out/weights/round-000006.safetensors --judge judge.safetensors --count 2 "
        "--attempts 1 --out out/drawn.png",
        given="rounds-draw",
    ),
    "export": Kind("export net.safetensors --out out/net.onnx"),
    "leaderboard": Kind("leaderboard out/audit.json --out out/table.md", given="audit"),
    "report-study": Kind("report out", given="study"),
    "report-rounds": Kind("report out", given="rounds-draw"),
    "report-audit": Kind("report out", given="audit"),
}


def build(world: Path) -> None:
    """Write the data and the networks `net` and `judge` into a folder."""
    for name, content in files_of_data().items():
        path = world / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    few = load_data(world / "data", validation=VALIDATION)
    recipe = RECIPES["fast"].model_copy(update={"epochs": 4})
    for seed, name in enumerate(("net", "judge")):
        network, card = train("fast", few, seed=seed, settings=recipe)
        save_network(network, world / f"{name}.safetensors", card)


def beside(world: Path, folder: Path, given: str = "") -> None:
    """Make a folder to run in, with links to the shared files and the given `out`."""
    folder.mkdir()
    for name in SHARED:
        (folder / name).symlink_to(world / name)
    if given:
        shutil.copytree(world / "whole" / given, folder / "out")


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def idx(array: NDArray[np.uint8]) -> bytes:
    """The content of an IDX file that holds this array."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.tobytes()


def quarters(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Noise images (count, 8, 8) with one bright quarter, and its number (count,)."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 4
    images = generator.integers(0, 128, (count, 8, 8), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[row : row + 4, column : column + 4] += 127
    return images, labels


def files_of_data(*, gzipped: bool = False) -> dict[str, bytes]:
    """The four files of a data set of quarters, by name."""
    arrays = (*quarters(300 + VALIDATION, 0), *quarters(40, 1))
    contents = zip(MNIST.sha256, map(idx, arrays), strict=True)
    if gzipped:
        return {f"{name}.gz": packed(content) for name, content in contents}
    return dict(contents)


@contextmanager
def small() -> Iterator[None]:
    """Make commands hold out few validation images, and use a clock that counts its reads.

    So the seconds that a run records are reproducible.
    """
    ticks = itertools.count(1)

    def clock() -> float:
        return next(ticks) / 1024

    few = partial(open_data, validation=VALIDATION)
    with ExitStack() as stack:
        for home in ("deceive.data.given", "deceive.auditing.opening"):
            stack.enter_context(mock.patch(f"{home}.open_data", few))
        few_in_memory = partial(load_data, validation=VALIDATION)
        stack.enter_context(mock.patch("deceive.data.loading.load_data", few_in_memory))
        stack.enter_context(mock.patch.object(time, "perf_counter", clock))
        yield


@dataclass(frozen=True)
class Said:
    """A command's exit code, stdout and stderr."""

    code: Any
    out: str
    err: str
    error: Exception | None = None
    """The exception it let through, instead of an exit code."""


def command(arguments: list[str]) -> Said:
    """Run the command line in this process, in the working directory."""
    from deceive.cli import main

    out, err = BytesIO(), BytesIO()
    streams = [TextIOWrapper(each, encoding="utf-8", write_through=True) for each in (out, err)]
    code: Any = None
    error: Exception | None = None
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        try:
            main(arguments)
        except SystemExit as end:
            code = 0 if end.code is None else end.code
        except Exception as raised:
            error = raised
    told = [each.getvalue().decode("utf-8", "replace") for each in (out, err)]
    return Said(code, told[0], told[1], error)


_FRAME = re.compile(r'File "[^"]*?/(?:src/)?(deceive/[^"]+)", line (\d+), in (\S+)')
_LAST = re.compile(r"^(\w[\w.]*)(?::.*|$)", re.MULTILINE)


@dataclass(frozen=True)
class Trail:
    """The part of a traceback inside the package: calls and error."""

    frames: list[str]
    error: str
    last: str

    @classmethod
    def of(cls, trouble: BaseException | str) -> "Trail":
        """From an error or a printed traceback."""
        text = trouble
        if isinstance(text, BaseException):
            text = "".join(traceback.format_exception(text))
        frames = [f"{file}:{line} in {name}" for file, line, name in _FRAME.findall(text)]
        ends = [each for each in _LAST.finditer(text) if each[1] not in ("Traceback", "deceive")]
        if not ends:
            return cls(frames, "an unnamed error", text.strip()[-300:])
        return cls(frames, ends[-1][1], ends[-1][0])

    @property
    def kind(self) -> str:
        """The error's type and the package's innermost function; no line numbers."""
        where = self.frames[-1] if self.frames else "outside the package"
        return f"{self.error} at {re.sub(r':[0-9]+ in ', ':', where)}"

    @property
    def words(self) -> str:
        """Frames and error, one per line."""
        return "\n".join([*self.frames, self.last[:1000]])


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Change the working directory within the block."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
