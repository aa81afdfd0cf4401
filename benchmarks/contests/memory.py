"""Peak memory of one call beyond what the process held before; each call in its own process."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.contest import ART, Row, facts, in_words
from benchmarks.peers import DECEIVE, PEERS, Setting
from benchmarks.spread import significant
from deceive.common import markdown
from deceive.fooling.fool import fool
from deceive.fooling.starts import begin
from deceive.storage.models import load_network

# Enough for images to leave the batch and others to take their place.
STEPS = 10


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    counts: tuple[int, ...] = (100, 1_000, 10_000)
    """Images of a call."""
    model: str = "fast"
    """The network to deceive: a shipped name or a file."""


QUICK = Plan(counts=(20, 50))


def run(plan: Plan) -> Iterator[Row]:
    """Every library at every number of images, one fresh process after the other."""
    started = facts()
    rows = []
    for count in plan.counts:
        for one in (DECEIVE, *PEERS):
            contestant = [one.name, str(count), plan.model]
            command = [sys.executable, "-m", "benchmarks.contests.memory", *contestant]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
            print(f"memory: {rows[-1]}", file=sys.stderr)
    yield {"facts": started, "model": plan.model, "steps": STEPS, "rows": rows}


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    counts = sorted({row["images"] for row in result["rows"]})
    libraries = list(dict.fromkeys(row["library"] for row in result["rows"]))
    peaks = {(row["library"], row["images"]): row["mebibytes"] for row in result["rows"]}
    lines = [(name, *(significant(peaks[name, count]) for count in counts)) for name in libraries]
    return "\n\n".join(
        (
            f"## Memory\n\nPeak of resident memory during one call for N images, less what was "
            f"held before it, in MiB; at most {result['steps']} steps, each in a process of its "
            "own. `deceive` and ART cut N images up themselves; the others take them as one batch.",
            in_words(result["facts"], ("foolbox", "torchattacks", "captum", ART)),
            markdown.table(("library", *(f"N = {count:,}" for count in counts)), lines),
        )
    )


def measure(library: str, count: int, model_name: str) -> Row:
    """Peak of the resident memory over one call for `count` images, less what was held before it.

    The peers are given all start images in one call, which is how they take them; ART cuts them up
    itself. Their start images are made before the clock of the memory starts; `fool` makes its own.
    """
    model = load_network(model_name).requires_grad_(False)
    one = next(one for one in (DECEIVE, *PEERS) if one.name == library)
    attack = one.bind(model, 0.99)
    name, sizes = next(iter(one.attacks.items()))
    batch = 250 if library in ("deceive", "ART") else count
    setting = Setting(name, sizes[0], STEPS, batch)
    targets = torch.arange(count) * model.n_outputs // count
    few = begin("uniform", range(10), model.image_shape, 1)
    attack(few, targets[:10], Setting(name, sizes[0], 2))  # the first call sets things up
    if library == "deceive":
        before = restart()
        fool(model, targets, steps=STEPS)
    else:
        images = begin("uniform", range(count), model.image_shape, 0)
        before = restart()
        attack(images, targets, setting)
    return {"library": library, "images": count, "batch": batch, "mebibytes": peak() - before}


def restart() -> float:
    """Reset the peak, if the system can; returns the memory held now, in MiB."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak()
    return _status("VmRSS")


def peak() -> float:
    """The most that was resident since the restart, in MiB."""
    try:
        return _status("VmHWM")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / (2**20 if sys.platform == "darwin" else 2**10)


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status: expected a line {field}")


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
