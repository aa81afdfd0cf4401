"""Commands of `deceive`, each in a process forked from one that has imported the libraries."""

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

_IMPORTED = ["deceive.auditing", "deceive.cli.audit", "deceive.reporting.audit", "torchmetrics"]
_IMPORTED += ["onnxruntime", "sklearn.ensemble", "tools.audit_doors.zoo"]


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


def forks() -> ForkServerContext:
    """Where such processes come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    return context


def run(context: ForkServerContext, words: list[str], place: Path) -> Ran:
    """Run `deceive` with these words in a folder."""
    with TemporaryDirectory() as temporary:
        streams = [Path(temporary) / name for name in ("stdout", "stderr")]
        process = context.Process(target=_run, args=(words, place, *streams))
        process.start()
        process.join()
        assert process.exitcode is not None
        return Ran(process.exitcode, *(path.read_text(encoding="utf-8") for path in streams))


def _run(words: list[str], place: Path, stdout: Path, stderr: Path) -> None:
    from deceive.cli import main

    for descriptor, path in ((1, stdout), (2, stderr)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.chdir(place)
    sys.path.insert(0, str(place))  # as `python -m deceive` has it
    sys.argv = ["deceive", *words]
    main()
