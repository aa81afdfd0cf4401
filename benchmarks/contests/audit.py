"""How long `deceive audit` takes, and how much memory, for models of all sizes.

Each is a command in a process of its own, with the default budget.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.contest import HERE, Row, facts, in_words
from benchmarks.large import write_pictures
from deceive.common import markdown

# Name → the model's argument, classes and size of the pictures it reads (None: MNIST's), and the
# goal in seconds.
_MODELS: dict[str, tuple[str, tuple[int, int] | None, float | None]] = {
    "fast": ("fast", None, 45),
    "fast, an ONNX file": ("fast.onnx", None, 45),
    "resist": ("resist", None, 120),
    "the size of ResNet-50": ("benchmarks.large:resnet_50", (1000, 224), 300),
    "the size of ViT-B/16": ("benchmarks.large:vit_b_16", (1000, 224), 480),
    "tiny": ("benchmarks.large:tiny", (4, 32), None),
}


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    models: tuple[str, ...] = tuple(name for name in _MODELS if name != "tiny")
    """What is audited."""
    budget: float = 120
    """Seconds that each audit may take."""


QUICK = Plan(models=("tiny",), budget=2)


def run(plan: Plan) -> Iterator[Row]:
    """Audit one model after the other."""
    started = facts()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in plan.models:
            rows.append(audited(model, plan.budget, folder))
            print(f"audit: {rows[-1]}", file=sys.stderr)
            yield {"facts": started, "plan": asdict(plan), "rows": rows}


def audited(name: str, budget: float, folder: Path) -> Row:
    """What the audit of a model took."""
    model, pictures, goal = _MODELS[name]
    words = [
        "--out",
        str(folder / f"audit-{len(list(folder.iterdir()))}"),
        "--budget",
        f"{budget:g}",
    ]
    if model.endswith(".onnx"):
        network, model = model.removesuffix(".onnx"), str(folder / model)
        _deceive("export", network, "--out", model)
    if pictures is not None:
        place = folder / f"pictures-{pictures[0]}-{pictures[1]}"
        if not place.is_dir():
            write_pictures(place, *pictures)
        words += ["--data", str(place), "--judge", "none"]
    used, report = _deceive("audit", model, *words, "--json")
    out = Path(words[1])
    return {
        "name": name,
        "goal": goal,
        **used,
        "mebibytes_on_disk": round(_size(out) / 2**20, 1),
        "complete": report["complete"],
        "planned": report["planned"],
        "reductions": report["reductions"],
    }


def _deceive(*words: str) -> tuple[Row, Row]:
    """Run a command; what it used, and the JSON that it printed, if any."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        child = subprocess.Popen(
            [sys.executable, "-m", "deceive", *words],
            stdout=printed,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (HERE.parent, *sys.path)))},
        )
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in (0, 3):
            raise subprocess.CalledProcessError(child.returncode, child.args)
        printed.seek(0)
        lines = printed.read().decode().splitlines() or ["{}"]
    measured = {
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "mebibytes": round(used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)),
    }
    return measured, json.loads(lines[-1]) if words[-1] == "--json" else {}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    lines = [
        (
            row["name"],
            "–" if row["goal"] is None else f"{row['goal']:g}",
            f"{row['seconds']:.0f}",
            f"{row['cpu_seconds']:.0f}",
            f"{row['mebibytes']:,}",
            f"{row['mebibytes_on_disk']:g}",
            "yes" if row["complete"] else "no",
            " ".join(row["reductions"]) or "nothing",
        )
        for row in result["rows"]
    ]
    heads = ("model", "goal, s", "seconds", "CPU seconds", "peak MiB", "folder, MiB", "complete")
    return "\n\n".join(
        (
            f"## Audits\n\n`deceive audit` with a budget of {result['plan']['budget']:g} s, from "
            "the start of the command to its end, report included. The large networks have random "
            "weights and 1,000 classes, at 224 × 224 pixels.",
            in_words(result["facts"]),
            markdown.table((*heads, "left out to fit the budget"), lines),
        )
    )
