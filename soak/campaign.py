"""The campaign: two forked workers at a time, each with a few inputs of a reader, or a kill.

Workers have a memory limit, and a time limit per case; if one dies or hangs, its current case has
failed. They can't change anything outside the campaign's folder.
"""

import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak import kills, readers
from soak.cases import prepare, read, tell
from soak.confining import confine, isolate
from soak.counts import Counts, Tally, keep, unwritten, written
from soak.plan import Plan
from soak.readers import READERS
from soak.world import KINDS, build

ROOM, MORE_ROOM = 400 * 2**20, 3 * 2**30
"""Bytes that a worker may allocate beyond its initial memory; more if it trains."""

_KILL = 300.0  # seconds for a kill and a complete run


@dataclass
class _Worker:
    """A forked process that works on cases of one reader or run."""

    pid: int
    pipe: int
    name: str
    is_run: bool
    numbers: list[int]
    """Cases that have not ended."""
    since: float
    """Start time of the current case."""
    buffer: bytes = b""


class Campaign:
    """The state of a campaign: its world, its counts, and the next case of each reader and run."""

    def __init__(self, plan: Plan, folder: Path, failures: Path) -> None:
        self.plan, self.folder, self.failures = plan, folder, failures
        self.world = folder / "world"
        self.counts = Counts(
            {name: Tally() for name in plan.readers}, {name: Tally() for name in plan.runs}
        )
        self.begun: dict[tuple[bool, str], int] = {}
        self.again: list[tuple[bool, str, list[int]]] = []
        self.workers: list[_Worker] = []
        self.new: list[Path] = []
        self.ends = 0.0
        self.good: dict[str, readers.Files] = {}

    def prepare(self, say: Callable[[str], None]) -> None:
        """Build the world, and complete once every run that is killed or read later."""
        prepare()
        self.world.mkdir(parents=True)
        isolate(self.folder)
        os.environ["DECEIVE_DATA"] = str(self.world / "data")
        kills.forked(lambda: build(self.world))
        read, run = self.plan.prepared
        wanted = [*run, *readers.needed(read)]
        for name in KINDS:
            if name in wanted or any(KINDS[each].given == name for each in wanted):
                say(f"an undisturbed run: {name}")
                kills.undisturbed(name, self.world)
        self.good = {name: READERS[name].good(self.world) for name in read}

    def replay(self, path: Path) -> str:
        """Try a kept failure again; returns how it fails, empty if it no longer does."""
        failure = json.loads(path.read_text())
        name, seed, number = failure.get("reader"), failure["seed"], failure["number"]
        case = Path(tempfile.mkdtemp(dir=self.folder)) / "case"
        if name is None:
            return "\n".join(kills.kill(failure["run"], number, seed, self.world, case))
        readers.lay(unwritten(failure["files"], self.good[name]), self.world, case)

        def work() -> dict[str, Any]:
            confine(self.folder, MORE_ROOM if READERS[name].slow else ROOM)
            return read(name, number, seed, case)

        try:
            told = kills.forked(work) or {"kind": "dies", "said": ""}
        except RuntimeError as error:
            told = {"kind": "dies", "said": str(error)}
        return "" if "outcome" in told else f"{told['kind']}\n{told['said']}"

    def run(self) -> Counts:
        """Work until time is up or everything is done."""
        self.ends = time.monotonic() + 60 * self.plan.minutes
        while True:
            while len(self.workers) < self.plan.workers and (job := self._next()) is not None:
                self._start(*job)
            if not self.workers:
                return self.counts
            ready, _, _ = select.select([each.pipe for each in self.workers], [], [], 0.2)
            for worker in list(self.workers):
                if worker.pipe in ready:
                    self._hear(worker)
                elif time.monotonic() - worker.since > self._patience(worker):
                    os.kill(worker.pid, signal.SIGKILL)
                    self._end(worker, "hangs")

    def _patience(self, worker: _Worker) -> float:
        return _KILL if worker.is_run else READERS[worker.name].patience

    def _next(self) -> tuple[bool, str, list[int]] | None:
        """The next task: a block of a reader's cases or a kill, of whatever has had least time.

        Kills get three quarters of the time: one takes as long as a thousand cases.
        """
        if time.monotonic() > self.ends:
            return None
        if self.again:
            return self.again.pop()
        plan = self.plan
        left = [n for n in plan.readers if self._at(False, n) < self._cases(n)]
        runs = [n for n in plan.runs if plan.kills is None or self._at(True, n) < plan.kills]
        if not left and not runs:
            return None
        spent = [sum(t.seconds for t in of.values()) for of in (self._tallies(b) for b in (0, 1))]
        if runs and (not left or spent[1] <= 3 * spent[0]):
            name = min(runs, key=lambda n: (self.counts.runs[n].seconds, self._at(True, n)))
            return self._block(True, name, 1)
        name = min(left, key=lambda n: (self.counts.readers[n].seconds, self._at(False, n)))
        most = self._cases(name) - self._at(False, name)
        return self._block(False, name, min(READERS[name].block, most))

    def _cases(self, name: str) -> int:
        asked = self.plan.cases
        return sys.maxsize if asked is None else READERS[name].share(asked)

    def _tallies(self, is_run: bool | int) -> dict[str, Tally]:
        return self.counts.runs if is_run else self.counts.readers

    def _at(self, is_run: bool, name: str) -> int:
        return self.begun.get((is_run, name), 0)

    def _block(self, is_run: bool, name: str, count: int) -> tuple[bool, str, list[int]]:
        first = self._at(is_run, name)
        self.begun[is_run, name] = first + count
        return is_run, name, list(range(first, first + count))

    def _start(self, is_run: bool, name: str, numbers: list[int]) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._work_and_exit(is_run, name, numbers, writing)
        os.close(writing)
        self.workers.append(_Worker(pid, reading, name, is_run, numbers, time.monotonic()))

    def _work_and_exit(self, is_run: bool, name: str, numbers: list[int], pipe: int) -> None:
        """Runs in a worker; prints only errors of the campaign itself."""
        complaints, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        try:
            self._work(is_run, name, numbers, pipe)
        except BaseException:
            os.write(complaints, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)

    def _work(self, is_run: bool, name: str, numbers: list[int], pipe: int) -> None:
        """Runs in a worker: the cases one by one, each reported at its start and end."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        if not is_run:
            confine(self.folder, MORE_ROOM if READERS[name].slow else ROOM)
        for number in numbers:
            if time.monotonic() > self.ends:
                break
            tell(pipe, {"begins": number})
            started = time.monotonic()
            case = folder / "case"
            told = self._kill(name, number, case) if is_run else self._read(name, number, case)
            tell(pipe, {"ends": number, "seconds": time.monotonic() - started} | told)
            shutil.rmtree(case, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)

    def _read(self, name: str, number: int, case: Path) -> dict[str, Any]:
        readers.lay(
            readers.damaged(name, number, self.plan.seed, self.good[name]), self.world, case
        )
        return read(name, number, self.plan.seed, case)

    def _kill(self, name: str, number: int, case: Path) -> dict[str, Any]:
        try:
            wrong = kills.kill(name, number, self.plan.seed, self.world, case)
        except RuntimeError as error:
            wrong = [str(error)]
        left = kills.left_behind(case)
        if wrong:
            return {"kind": wrong[0].split(": ")[0], "said": "\n".join(wrong), "left": left}
        return {"outcome": "equal", "left": left}

    def _hear(self, worker: _Worker) -> None:
        came = os.read(worker.pipe, 2**16)
        if not came:
            self._end(worker, "dies")
            return
        *lines, worker.buffer = (worker.buffer + came).split(b"\n")
        for line in lines:
            told = json.loads(line)
            worker.since = time.monotonic()
            if "ends" in told:
                worker.numbers.remove(told["ends"])
                self._count(worker, told["ends"], told)

    def _end(self, worker: _Worker, how: str) -> None:
        """Handle a worker that finished, died or was killed; requeue its remaining cases."""
        self.workers.remove(worker)
        os.close(worker.pipe)
        _, status = os.waitpid(worker.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != 0 and worker.numbers:
            number, *rest = worker.numbers
            kind = how if how == "hangs" else f"dies ({code})"
            seconds = time.monotonic() - worker.since
            self._count(worker, number, {"kind": kind, "said": kind, "seconds": seconds})
            if rest:
                self.again.append((worker.is_run, worker.name, rest))

    def _count(self, worker: _Worker, number: int, told: dict[str, Any]) -> None:
        tally = self._tallies(worker.is_run)[worker.name]
        tally.cases += 1
        tally.seconds += told["seconds"]
        tally.left += told.get("left", 0)
        if "outcome" in told:
            tally.outcomes[told["outcome"]] += 1
            return
        tally.failures[told["kind"]] += 1
        failure = {
            "run" if worker.is_run else "reader": worker.name,
            "seed": self.plan.seed,
            "number": number,
            "kind": told["kind"],
            "said": told["said"],
        }
        if worker.is_run:
            failure["killed"] = kills.plan(worker.name, number, self.plan.seed, self.world)
        else:
            good = self.good[worker.name]
            files = readers.damaged(worker.name, number, self.plan.seed, good)
            failure["files"] = written(files, good)
        if path := keep(self.failures, failure):
            self.new.append(path)
