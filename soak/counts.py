"""A campaign's counts and kept failures."""

import base64
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FAILURES = HERE / "failures"
"""Folder for new failures, one file each; git ignores it."""


@dataclass
class Tally:
    """Outcomes of one reader or kind of run."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    left: int = 0
    """Temporary files left behind by kills."""


@dataclass
class Counts:
    """All tallies of a campaign."""

    readers: dict[str, Tally] = field(default_factory=dict)
    runs: dict[str, Tally] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Number of failed cases."""
        every = [*self.readers.values(), *self.runs.values()]
        return sum(tally.failures.total() for tally in every)

    def table(self) -> str:
        """All counts as a readable table."""
        lines = [f"{'inputs':<18}{'cases':>9}{'accepted':>10}{'refused':>9}{'failed':>8}{'s':>8}"]
        for name, each in sorted(self.readers.items()):
            accepted, refused = each.outcomes["accepted"], each.outcomes["refused"]
            lines.append(
                f"{name:<18}{each.cases:>9,}{accepted:>10,}{refused:>9,}"
                f"{each.failures.total():>8,}{each.seconds:>8.0f}"
            )
        lines += ["", f"{'runs':<18}{'kills':>9}{'equal':>10}{'left':>9}{'failed':>8}{'s':>8}"]
        for name, each in sorted(self.runs.items()):
            lines.append(
                f"{name:<18}{each.cases:>9,}{each.outcomes['equal']:>10,}{each.left:>9,}"
                f"{each.failures.total():>8,}{each.seconds:>8.0f}"
            )
        return "\n".join([*lines, "", *self._failed(), self._total()])

    def _failed(self) -> list[str]:
        every = [*self.readers.items(), *self.runs.items()]
        return [
            f"failed: {name}: {count:,} × {what}"
            for name, each in every
            for what, count in each.failures.most_common()
        ]

    def _total(self) -> str:
        inputs = sum(each.cases for each in self.readers.values())
        kills = sum(each.cases for each in self.runs.values())
        return f"{inputs:,} inputs, {kills:,} kills, {self.failed:,} failures"

    def summary(self) -> dict[str, Any]:
        """The same as JSON."""

        def told(tally: Tally) -> dict[str, Any]:
            return {
                "cases": tally.cases,
                "outcomes": dict(tally.outcomes),
                "failures": dict(tally.failures),
                "left": tally.left,
            }

        return {
            "readers": {name: told(each) for name, each in self.readers.items()},
            "runs": {name: told(each) for name, each in self.runs.items()},
        }


def tried_by(path: Path) -> str:
    """The reader or kind of run of a kept failure, as named in a plan."""
    failure = json.loads(path.read_text())
    return str(failure["reader"]) if "reader" in failure else f"kill-{failure['run']}"


def keep(folder: Path, failure: dict[str, Any]) -> Path | None:
    """Save a failure if it is the first of its kind; returns the path if so.

    `failure` says what was tried (`reader` or `run`, seed, number), `kind` and `said`.
    """
    tried = failure.get("reader") or failure.get("run")
    mark = hashlib.sha256(f"{tried}:{failure['kind']}".encode()).hexdigest()[:8]
    path = folder / f"{tried}-{mark}.json"
    if path.exists():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(failure, indent=1) + "\n")
    return path


_Written = str | dict[str, str] | None


def written(files: dict[str, bytes], good: dict[str, bytes]) -> dict[str, _Written]:
    """The files that differ from the good ones, as JSON: text if possible, else base64."""
    changed = {name: each for name, each in files.items() if good.get(name) != each}
    lost: dict[str, _Written] = dict.fromkeys(good.keys() - files.keys())
    return lost | {name: _written(each) for name, each in changed.items()}


def _written(content: bytes) -> _Written:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def unwritten(changed: dict[str, _Written], good: dict[str, bytes]) -> dict[str, bytes]:
    """All files of a case: the damaged ones, and today's good ones for the rest."""
    files = dict(good)
    for name, content in changed.items():
        if content is None:
            files.pop(name, None)
        elif isinstance(content, str):
            files[name] = content.encode()
        else:
            files[name] = base64.b64decode(content["base64"])
    return files
