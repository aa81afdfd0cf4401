"""Guard classifiers, audit them, and attack them in ways made for a guard."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import cycle, islice
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.contest import Row, facts
from benchmarks.contests.guarding.adaptive import climbed, objectives
from benchmarks.contests.guarding.plan import Plan
from benchmarks.contests.guarding.readers import made
from deceive.auditing import AuditReport, AuditSettings
from deceive.data.dataset import Split
from deceive.data.loading import load_data
from deceive.fooling.starts import begin
from deceive.guarding import GuardedModel, guard, load_guarded
from deceive.guarding.comparison import STARTS, worst
from deceive.networks.inference import logits_of
from deceive.storage.models import load_network

# Starts of the attacks made for a guard, in turn.
_NOISE = ("uniform", "gaussian", "smooth", "blank", "squares")


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Every classifier with every seed; those among the earlier rows are kept."""
    started, rows, data = facts(), list[Row](), load_data()
    rows += earlier["rows"] if earlier else []
    count = plan.train_images
    split = Split(data.train.images[:count], data.train.labels[:count])
    for seed in range(plan.seeds):
        for name in plan.readers:
            if any((row["name"], row["seed"]) == (name, seed) for row in rows):
                continue
            with tempfile.TemporaryDirectory() as folder:
                rows.append(held(name, seed, split, plan, Path(folder)))
            print(f"guarding: {rows[-1]}", file=sys.stderr)
            yield {"facts": started, "plan": asdict(plan), "rows": rows}


def held(name: str, seed: int, split: Split, plan: Plan, folder: Path) -> Row:
    """All figures of one classifier."""
    spec = made(name, split, seed, folder)
    other = plan.other_data if plan.other_data and Path(plan.other_data).is_dir() else None
    settings = AuditSettings(
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
    started = time.perf_counter()
    report = guard(
        spec,
        out=folder / "guarded",
        auditing=settings,
        other_data=other,
        budget=None,
        tell=lambda words: print(words, file=sys.stderr),
    )
    seconds = round(time.perf_counter() - started, 1)
    assert report.before is not None
    assert report.after is not None
    row = {"name": name, "seed": seed, "seconds": seconds, "set": report.card.set.model_dump()}
    row |= {"before": figures(report.before), "behind": figures(report.after)}
    if plan.adaptive and seed == 0 and name == plan.readers[0]:
        row["adaptive"] = adaptive(load_guarded(folder / "guarded"), plan, split)
    return row


def figures(report: AuditReport) -> Row:
    """What an audit found, as far as the contest asks."""
    assert report.clean is not None
    reached = {each.name: each.reached for each in report.thresholds}
    aurocs = {each.kind: each.scores["msp"].auroc for each in report.garbage if each.scores}
    return {
        "accuracy": report.clean.class_accuracy,
        "sure": reached["asked"],
        "own_threshold": {each.name: each.confidence for each in report.thresholds}["own"],
        "gibberish": {start: worst(report, start, "asked") for start in STARTS},
        "gibberish_at_own": {start: worst(report, start, "own") for start in STARTS},
        "auroc": aurocs,
    }


def adaptive(guarded: GuardedModel, plan: Plan, split: Split) -> list[Row]:
    """Attacks made for it, from noise and from other real images."""
    targets = torch.arange(plan.adaptive) % len(guarded.class_names)
    judge, rows = load_network("judge"), []
    for kind, start in _starts(plan, split, targets).items():
        for name, logits in objectives(guarded).items():
            fifth = max(1, plan.adaptive_steps // 5)
            ways = {"one start": (1, plan.adaptive_steps if logits is guarded else fifth)}
            if logits is guarded and plan.restarts > 1:
                ways["restarts"] = (plan.restarts, fifth // plan.restarts)
            for way, (restarts, steps) in ways.items():
                tries = [
                    climbed(guarded, logits, start(attempt), targets, steps)
                    for attempt in range(restarts)
                ]
                sure, place = torch.stack([each for each, _ in tries]).max(0)
                images = torch.stack([each for _, each in tries])[place, torch.arange(len(place))]
                gibberish = logits_of(judge, images).argmax(1) != targets
                fooled = sure >= guarded.threshold
                rows.append(
                    {
                        "start": kind,
                        "along": name,
                        "way": way,
                        "steps": steps * restarts,
                        "candidates": len(targets),
                        "fooled": int(fooled.sum()),
                        "gibberish": int((fooled & gibberish).sum()),
                        "greatest": round(sure[gibberish].amax().item(), 4)
                        if gibberish.any()
                        else None,
                    }
                )
                print(f"guarding: {rows[-1]}", file=sys.stderr)
    return rows


def _starts(plan: Plan, split: Split, targets: Tensor) -> dict[str, Callable[[int], Tensor]]:
    """Start images by kind, as functions of the attempt."""
    count = len(targets)

    def noise(attempt: int) -> Tensor:
        kinds = [begin(kind, range(count), (1, 28, 28), 1000 + attempt) for kind in _NOISE]
        return torch.stack([kinds[place % len(kinds)][place] for place in range(count)])

    def real(attempt: int) -> Tensor:
        """Of another class than the target's."""
        first = count * attempt
        chosen = [
            next(
                i
                for i in islice(cycle(range(len(split))), first + place, None)
                if split.labels[i] != target
            )
            for place, target in enumerate(targets)
        ]
        return split.images[chosen]

    return {"noise": noise, "another real image": real}
