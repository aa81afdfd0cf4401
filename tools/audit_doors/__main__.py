"""Audit every kind of model on every layout of data, and write the table of `docs/`.

`python -m tools.audit_doors CIFAR10`, where CIFAR10 holds train/CLASS/* and test/CLASS/*.
"""

import argparse
import json
import os
import tempfile
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tools.audit_doors.commands import forks, run
from tools.audit_doors.layouts import LAYOUTS, Layout
from tools.audit_doors.pictures import Pictures, pictures_in
from tools.audit_doors.zoo import ZOO, Kind

from deceive.common import markdown

ROOT = Path(__file__).resolve().parents[2]

# Small, so that all commands take minutes; the doors are what is tested. Without a budget, so that
# a busy machine gives the same.
SIZES = (
    "--candidates 2 --steps 20 --curve-candidates 2 --searched 2 --queries 100 --garbage-images 20 "
    "--budget none"
)

_ABOUT = (
    "# Which models and data the audit takes\n\n"
    f"Each cell is one command, `deceive audit MODEL --data DATA {SIZES}`, run by "
    "`python -m tools.audit_doors CIFAR10`, which writes this page. The pictures are "
    "{train:,} training and {test:,} test pictures of CIFAR-10 (Krizhevsky 2009), as JPEG files. "
    "The models were trained on them for seconds, so they read badly. A cell gives the share of "
    "test pictures that the audit says the model reads, and the share of candidates that fooled "
    "it at 0.99: in the white box if it has a gradient. The last column is what the model reads "
    "of all {test:,} test pictures without `deceive`. Of IDX files the audit tests on all of them "
    "too; elsewhere half of them set thresholds, and data with no splits is cut in another way."
    "\n\n"
)


@dataclass(frozen=True)
class Cell:
    """What one command gave."""

    command: str
    code: int
    said: str
    """Accuracy and fooling rate, or the error."""


def cell(kind: Kind, layout: Layout, place: Path, context: ForkServerContext) -> Cell:
    """Run a command in the folder of the models and data."""
    command = f"deceive audit {kind.spec} --data {layout.place}"
    ran = run(context, [*command.split()[1:], *SIZES.split(), "--json", "--fresh"], place)
    if ran.code not in (0, 3) or not ran.stdout.strip():
        return Cell(command, ran.code, ran.stderr.strip().splitlines()[-1])
    report: dict[str, Any] = json.loads(ran.stdout)
    if report["clean"] is None:
        return Cell(command, ran.code, str(report["failures"]))
    rate = report["headlines"][0]["outcomes"][0]["fooling_rate"] if report["headlines"] else None
    fooled = "–" if rate is None else f"{rate:.0%}"
    said = f"{report['clean']['accuracy']:.1%}, {fooled}"
    said += "" if report["complete"] else " (incomplete)"
    return Cell(command, ran.code, said + ("" if not report["warnings"] else " (warned)"))


def page(pictures: Pictures, cells: dict[str, list[Cell]], own: dict[str, float]) -> str:
    """The page in Markdown."""
    heads = ("MODEL", *(f"{each.words}: `{each.place}`" for each in LAYOUTS), "by itself")
    rows = [
        (
            f"`{kind.spec}`, {kind.words}",
            *(each.said for each in cells[kind.spec]),
            f"{own[kind.spec]:.1%}",
        )
        for kind in ZOO
        if kind.spec in cells
    ]
    about = _ABOUT.format(train=len(pictures.train), test=len(pictures.test))
    return about + markdown.table(heads, rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.audit_doors", description=__doc__)
    parser.add_argument("pictures", type=Path, help="a folder with train/CLASS/* and test/CLASS/*")
    parser.add_argument("--train", type=int, default=500, help="pictures per class to train on")
    parser.add_argument("--test", type=int, default=50, help="pictures per class to test on")
    parser.add_argument("--work", type=Path, help="a folder to keep models and data in")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reference" / "audit-doors.md")
    asked = parser.parse_args()
    pictures = pictures_in(asked.pictures, asked.train, asked.test)
    torch.set_num_threads(1)
    os.environ |= {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    context = forks()
    with tempfile.TemporaryDirectory() as temporary:
        place = asked.work or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        for layout in LAYOUTS:
            if not (place / layout.place).exists():
                layout.write(place / layout.place, pictures)
        cells, own = {}, {}
        for kind in ZOO:
            right = kind.make(place, pictures)(pictures.test) == pictures.test_labels
            own[kind.spec] = float(np.mean(right))
            cells[kind.spec] = []
            for layout in LAYOUTS:
                cells[kind.spec].append(cell(kind, layout, place, context))
                print(*vars(cells[kind.spec][-1]).values(), flush=True)
            asked.out.write_text(page(pictures, cells, own), encoding="utf-8")


if __name__ == "__main__":
    main()
