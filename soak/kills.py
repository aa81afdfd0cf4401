"""Kill a run at a write or at a random moment, resume it, and compare every byte.

Runs are forked from a process that has imported everything: milliseconds instead of seconds. A
write is an audit event of Python (opening for writing, renaming, removing and the like) or
`os.fsync`; a run that is to die at its n-th write kills itself right before it.
"""

import io
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load

from soak.world import KINDS, Said, Trail, beside, command, files_of, small, working_in

LEFT = ".deceive-*.tmp"
"""Temporary files of a killed run; no code looks for this name."""

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink",
            "os.truncate", "shutil.move"}  # fmt: skip


class _Writes:
    """Counts this process's writes below a folder; dies right before the n-th."""

    def __init__(self, folder: Path, dies_at: int | None) -> None:
        self.folder, self.dies_at, self.count = str(folder.resolve()), dies_at, 0
        fsync = os.fsync

        def counted(descriptor: int) -> None:
            self.one()
            fsync(descriptor)

        mock.patch.object(os, "fsync", counted).start()
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python's audit hook."""
        if event == "open":
            path, _, flags = arguments
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                return
        elif event in _CHANGES:
            path = arguments[0]
        else:
            return
        if isinstance(path, str | bytes | os.PathLike):
            whole = os.path.join(os.getcwd(), os.fsdecode(path))  # noqa: PTH109, PTH118 - it hears
            if whole.startswith(self.folder):
                self.one()

    def one(self) -> None:
        """Count one write, and die if it is the last."""
        self.count += 1
        if self.count == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


def forked(work: Callable[[], Any], *, dies_after: float | None = None) -> Any:
    """The JSON result of `work` in a forked process; None if it was killed.

    Raises `RuntimeError` if it ends other than with a result or by SIGKILL.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reading)
            answer = json.dumps(work()).encode()
            with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
                pipe.write(answer)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    if dies_after is not None:
        time.sleep(dies_after)
        os.kill(child, signal.SIGKILL)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
        content = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
        return None
    if status:
        raise RuntimeError(f"a forked run ended with {os.waitstatus_to_exitcode(status)}")
    return json.loads(content)


def _run(name: str, folder: Path, dies_at: int | None = None) -> dict[str, Any]:
    """Run a kind in a folder, in this process; returns its end, its writes and its time."""
    writes, started = _Writes(folder, dies_at), time.monotonic()
    with working_in(folder), small():
        said = command(KINDS[name].arguments.split())
    seconds = time.monotonic() - started
    return {"end": _end(said), "code": said.code, "writes": writes.count, "seconds": seconds}


def _end(said: Said) -> str:
    """What went wrong; empty for a normal end."""
    if said.error is not None:
        return Trail.of(said.error).kind
    if said.code == 70:
        return f"exit code 70: {Trail.of(said.err).kind}"
    return "" if said.code in (0, 1, 3) else f"exit code {said.code}: {said.err[-300:]}"


def undisturbed(name: str, world: Path) -> None:
    """Complete a run, and keep its files as `whole/NAME`, with facts beside them."""
    folder = world / f"making-{name}"
    beside(world, folder, KINDS[name].given)
    facts = forked(lambda: _run(name, folder))
    if facts is None or facts["end"]:
        raise RuntimeError(f"{name}: expected to run to its end, got {facts}")
    whole = world / "whole" / name
    whole.parent.mkdir(exist_ok=True)
    (folder / "out").rename(whole)
    (world / "whole" / f"{name}.json").write_text(json.dumps(facts))
    shutil.rmtree(folder)


def facts_of(name: str, world: Path) -> dict[str, Any]:
    """The facts from `undisturbed`: the number of writes, and the time."""
    facts: dict[str, Any] = json.loads((world / "whole" / f"{name}.json").read_text())
    return facts


def plan(name: str, number: int, seed: int, world: Path) -> dict[str, Any]:
    """Where to kill the run with this number: at each write in turn, then at random, or twice."""
    facts, rng = facts_of(name, world), random.Random(f"{seed}:{name}:{number}")
    # Each write once, in an order that covers a run evenly even if few are tried.
    order = random.Random(f"{seed}:{name}").sample(range(1, facts["writes"] + 1), facts["writes"])
    if number < len(order):
        return {"writes": [order[number]], "seconds": None}
    if rng.random() < 0.5:
        return {"writes": [], "seconds": rng.random() * facts["seconds"]}
    return {"writes": [rng.choice(order), rng.choice(order)], "seconds": None}


def kill(name: str, number: int, seed: int, world: Path, folder: Path) -> list[str]:
    """Kill a run as planned, resume it and compare; returns what went wrong, if anything."""
    chosen = plan(name, number, seed, world)
    beside(world, folder, KINDS[name].given)
    facts = None
    if chosen["seconds"] is not None:
        facts = forked(lambda: _run(name, folder), dies_after=chosen["seconds"])
    for at in chosen["writes"]:
        facts = forked(lambda at=at: _run(name, folder, at))  # type: ignore[misc]
        wrong = halves(folder / "out") + _reported(name, number, folder)
        if wrong or facts is not None:
            break
    else:
        wrong = halves(folder / "out")
    if wrong:
        return wrong
    facts = forked(lambda: _run(name, folder))
    if facts is None or facts["end"]:
        return [f"resumed: {facts and facts['end']}"]
    if facts["code"] != facts_of(name, world)["code"]:
        return [f"resumed: exit code {facts['code']}"]
    return differences(folder / "out", world / "whole" / name) + _lost(name, world, folder)


def _lost(name: str, world: Path, folder: Path) -> list[str]:
    """Whether `--fresh` has not put the earlier run aside whole."""
    if "--fresh" not in KINDS[name].arguments:
        return []
    earlier = world / "whole" / KINDS[name].given
    asides = sorted(folder.glob("out.*"))
    if any(not differences(aside, earlier) for aside in asides):
        return []
    return [f"lost: the earlier run is in none of {', '.join(each.name for each in asides)}"]


def _reported(name: str, number: int, folder: Path) -> list[str]:
    """Errors of a report on a copy of an unfinished run; checked for every eighth."""
    if number % 8 or not (folder / "out" / "settings.json").exists():
        return []
    copied = folder / "copied"
    shutil.copytree(folder / "out", copied)
    with working_in(folder):
        said = forked(lambda: _told(command(["report", "copied"])))
    shutil.rmtree(copied)
    return [f"report on what is left: {said}"] if said else []


def _told(said: Said) -> str:
    return "" if said.code == 2 and "Traceback" not in said.err else _end(said)


def differences(came: Path, whole: Path) -> list[str]:
    """How a folder differs from the expected one, byte for byte."""
    found, expected = files_of(came), files_of(whole)
    found = {name: content for name, content in found.items() if not Path(name).match(LEFT)}
    wrong = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"too many: {name}" for name in sorted(found.keys() - expected.keys())]
    common = sorted(expected.keys() & found.keys())
    return wrong + [f"differs: {name}" for name in common if found[name] != expected[name]]


def left_behind(folder: Path) -> int:
    """Number of temporary files."""
    return sum(1 for _ in folder.rglob(LEFT))


def halves(folder: Path) -> list[str]:
    """Half-written files in the folder of a killed run, except temporary files."""
    wrong = []
    for name, content in files_of(folder).items() if folder.exists() else ():
        path = Path(name)
        if path.match(LEFT):
            continue
        try:
            _READ.get(path.suffix, len)(content)
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, SafetensorError) as error:
            wrong.append(f"half a file: {name}: {error!r:.200}")
    for path in folder.rglob("*.safetensors"):
        card = path.with_suffix(".json")
        if path.name != "checkpoint.safetensors" and card.exists():
            wrong += _no_pair(path, card)
    return wrong


def _no_pair(weights: Path, card: Path) -> list[str]:
    """Check that weights and card match if both exist."""
    from deceive.common.errors import InputError
    from deceive.storage.models import load_network

    try:
        load_network(weights)
    except InputError as error:
        return [f"{weights.name} and {card.name} don't fit: {str(error)[:200]}"]
    return []


def _html(content: bytes) -> None:
    if not content.rstrip().endswith(b"</html>"):
        raise ValueError("no </html> at its end")


def _image(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as image:
        image.load()


def _arrays(content: bytes) -> None:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        dict(stored)


def _lines(content: bytes) -> None:
    for line in content.decode().split("\n")[:-1]:
        json.loads(line)
    if not content.endswith(b"\n"):
        raise ValueError("no end of its last line")


_READ: dict[str, Callable[[bytes], Any]] = {
    ".json": json.loads,
    ".jsonl": _lines,
    ".npz": _arrays,
    ".safetensors": load,
    ".png": _image,
    ".html": _html,
}
