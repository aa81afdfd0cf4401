"""The attacks made for a guard: what they begin at, what they climb, and what came of them."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.contest import Row
from benchmarks.contests.guarding.adaptive import Logits, climbed, objectives
from benchmarks.contests.guarding.plan import Plan
from benchmarks.contests.guarding.readers import made
from deceive.data.dataset import Split
from deceive.fooling.starts import begin
from deceive.guarding import GuardedModel, GuardSettings, guard, load_guarded
from deceive.networks.inference import logits_of
from deceive.storage.models import load_network

Start = Callable[[int], Tensor]
"""Start images (N, C, H, W), by the number of the attempt."""

# What tells a row from the others.
_KEYS = ("name", "start", "along", "way")

# Starts of the attacks made for a guard, in turn.
_NOISE = ("uniform", "gaussian", "smooth", "blank", "squares")


def attacked(name: str, split: Split, plan: Plan, known: Sequence[Row] = ()) -> Iterator[Row]:
    """A row for each start, each objective and each number of attempts, except those known."""
    begun = {tuple(row[key] for key in _KEYS) for row in known}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        spec = made(name, split, 0, folder)
        guarded = _behind(spec, folder / "guarded")
        own = objectives(guarded)
        climbs = own | _others(spec, plan, folder)
    targets = torch.arange(plan.adaptive) % len(guarded.class_names)
    fifth = max(1, plan.adaptive_steps // 5)
    for kind, start in _starts(split, targets).items():
        for along, logits in climbs.items():
            ways = {"one start": (1, plan.adaptive_steps if along in own else fifth)}
            if logits is guarded and plan.restarts > 1:
                ways["restarts"] = (plan.restarts, fifth // plan.restarts)
            for way, (attempts, steps) in ways.items():
                if (name, kind, along, way) not in begun:
                    figures = _attempted(guarded, logits, start, targets, attempts, steps)
                    yield {"name": name, "start": kind, "along": along, "way": way, **figures}


def _attempted(
    guarded: GuardedModel,
    logits: Logits,
    start: Start,
    targets: Tensor,
    attempts: int,
    steps: int,
) -> Row:
    """What some attempts made: a candidate counts if one of them succeeded."""
    judge, threshold = load_network("judge"), guarded.threshold
    fooled = torch.zeros(len(targets), dtype=torch.bool)
    gibberish, greatest = fooled.clone(), 0.0
    for attempt in range(attempts):
        sure, images = climbed(guarded, logits, start(attempt), targets, steps, threshold)
        unseen = logits_of(judge, images).argmax(1) != targets
        fooled |= sure >= threshold
        gibberish |= (sure >= threshold) & unseen
        greatest = max(greatest, sure[unseen].amax().item() if unseen.any() else 0.0)
    return {
        "steps": steps * attempts,
        "candidates": len(targets),
        "fooled": int(fooled.sum()),
        "gibberish": int(gibberish.sum()),
        "greatest_of_gibberish": greatest,
    }


def _behind(spec: str, folder: Path, **how: Any) -> GuardedModel:
    guard(spec, out=folder, auditing=None, onnx=False, **how)
    return load_guarded(folder)


def _others(spec: str, plan: Plan, folder: Path) -> dict[str, GuardedModel]:
    """The same classifier behind other guards, whose gradients an attacker may know instead."""
    others = {"behind `draw` as its guard": _behind(spec, folder / "draw", use="draw")}
    if plan.second_rounds:
        settings = GuardSettings(rounds=plan.second_rounds, seed=1)
        name = f"behind a guard of another seed, {plan.second_rounds} rounds"
        others[name] = _behind(spec, folder / "second", train=True, settings=settings)
    return others


def _starts(split: Split, targets: Tensor) -> dict[str, Start]:
    """Start images by kind."""
    count = len(targets)

    def noise(attempt: int) -> Tensor:
        kinds = [begin(kind, range(count), (1, 28, 28), 1000 + attempt) for kind in _NOISE]
        return torch.stack([kinds[(i + i // 10) % len(kinds)][i] for i in range(count)])

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
