"""Guard classifiers, audit them, and attack them in ways made for a guard."""

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Protocol

from benchmarks.contest import Row, facts
from benchmarks.contests.guarding.attacking import attacked
from benchmarks.contests.guarding.plan import Plan
from benchmarks.contests.guarding.readers import made
from deceive.auditing import AuditReport, AuditSettings
from deceive.data.dataset import Split
from deceive.data.loading import load_data
from deceive.guarding import guard
from deceive.guarding.comparison import STARTS, worst


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Every classifier with every seed, then the scores, then the attacks made for a guard.

    What is among the earlier results is kept.
    """
    result: Row = {"facts": facts(), "plan": asdict(plan)}
    result |= {part: (earlier or {}).get(part, []) for part in ("rows", "scored", "adaptive")}
    train = load_data().train
    split = Split(train.images[: plan.train_images], train.labels[: plan.train_images])
    for part, figures_of, names in (("rows", held, plan.readers), ("scored", scored, plan.scored)):
        for seed, name in product(range(plan.seeds), names):
            if any((row["name"], row["seed"]) == (name, seed) for row in result[part]):
                continue
            with tempfile.TemporaryDirectory() as folder:
                result[part].append(figures_of(name, seed, split, plan, Path(folder)))
            _say(result[part][-1])
            yield result
    if plan.adaptive:
        for row in attacked(plan.readers[0], split, plan, tuple(result["adaptive"])):
            _say(row)
            result["adaptive"].append(row)
            yield result
    yield result


def held(name: str, seed: int, split: Split, plan: Plan, folder: Path) -> Row:
    """All figures of one classifier."""
    spec = made(name, split, seed, folder)
    started = time.perf_counter()
    report = guard(
        spec,
        out=folder / "guarded",
        auditing=auditing(plan, seed),
        other_data=_other(plan),
        budget=None,
        tell=_say,
    )
    seconds = round(time.perf_counter() - started, 1)
    assert report.before is not None
    assert report.after is not None
    row = {"name": name, "seed": seed, "seconds": seconds, "set": report.card.set.model_dump()}
    return row | {"before": figures(report.before), "behind": figures(report.after)}


class Sizes(Protocol):
    """How much an audit of a contest does; a contest's plan says it."""

    @property
    def candidates(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def real_images(self) -> int: ...
    @property
    def garbage_images(self) -> int: ...
    @property
    def searched(self) -> int: ...


def auditing(plan: Sizes, seed: int) -> AuditSettings:
    """The audits before and behind a guard: two attacks from every start, and every search."""
    return AuditSettings(
        candidates=plan.candidates,
        steps=plan.steps,
        ways=("momentum", "sign"),
        curve_candidates=0,
        real_images=plan.real_images,
        garbage_images=plan.garbage_images,
        searched=plan.searched,
        every_search=True,
        seed=seed,
    )


def scored(name: str, seed: int, split: Split, plan: Plan, folder: Path) -> Row:
    """How well a shipped network tells garbage from real images, before and behind the guard."""
    settings = AuditSettings(
        candidates=1,
        steps=1,
        ways=("sign",),
        starts=("uniform",),
        curve_candidates=0,
        real_images=plan.real_images,
        garbage_images=plan.garbage_images,
        searched=0,
        seed=seed,
    )
    report = guard(
        name,
        out=folder / "guarded",
        auditing=settings,
        judge=None,
        other_data=_other(plan),
        budget=None,
        onnx=False,
    )
    assert report.before is not None
    assert report.after is not None
    sides = {"before": aurocs(report.before), "behind": aurocs(report.after)}
    return {"name": name, "seed": seed} | sides


def figures(report: AuditReport) -> Row:
    """What an audit found, as far as the contest asks."""
    assert report.clean is not None
    reached = {each.name: each.reached for each in report.thresholds}
    return {
        "accuracy": report.clean.class_accuracy,
        "sure": reached["asked"],
        "own_threshold": {each.name: each.confidence for each in report.thresholds}["own"],
        "own_reached": reached["own"],
        "gibberish": {start: worst(report, start, "asked") for start in STARTS},
        "gibberish_at_own": {start: worst(report, start, "own") for start in STARTS},
        "auroc": aurocs(report),
    }


def aurocs(report: AuditReport) -> dict[str, float]:
    """Of the confidence, for each kind of garbage that was not optimised."""
    return {
        each.kind: each.scores["msp"].auroc
        for each in report.garbage
        if each.scores and each.kind != "optimised"
    }


def _other(plan: Plan) -> str | None:
    return plan.other_data if plan.other_data and Path(plan.other_data).is_dir() else None


def _say(what: object) -> None:
    print(f"guarding: {what}", file=sys.stderr)
