"""What each part of the rounds that draw buys: one thing at a time is taken away.

Judged on the validation images, since it is for choosing.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.contest import Row, facts, in_words
from benchmarks.pictures import stripped
from benchmarks.playing import AS_THEY_COME, FRESH, played
from benchmarks.spread import Measure, cells, grouped, titles
from deceive.cli.screen import log
from deceive.common import markdown
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from deceive.data.loading import load_data
from deceive.fooling.drawing import draw
from deceive.fooling.result import FoolingResult
from deceive.judging.quality import quality
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_network
from deceive.teaching import EmergingSettings

AS_IT_IS = "as it is"

# How the network of the preset draws; the others take every image as it comes.
WAYS: dict[str, dict[str, Any]] = {
    AS_IT_IS: AS_THEY_COME,
    "– images polished": {"accepted": None},
    "– and drawn again where they are not accepted": {},
}

# All is measured in rounds as they were when this was first held: twice as large as the preset's.
LARGE = {
    "candidates": 128,
    "kept": 4000,
    "learning_rate": 6e-4,
    "clean_digits": 64,
    "averaging": 0.998,
}

# Changes of those settings; those of their ascent are in an inner dictionary.
VARIANTS: dict[str, dict[str, Any]] = {
    AS_IT_IS: {},
    "no noise at all": {"ascent": {"noise": 0, "schedule": {"least_noise": 0}}},
    "noise from 0.6": {"ascent": {"noise": 0.6}},
    "noise falling evenly": {"ascent": {"schedule": {"noise_power": 1}}},
    "along the gradient over its size, not its sign": {"ascent": {"rule": "momentum"}},
    "60 steps, each a third as large": {"ascent": {"schedule": {"steps": 60}, "step_size": 0.06}},
    "1 step a round": {"steps": 1},
    "no penalty on the gradient": {"smoothness": 0},
    "no digits without noise": {"clean_digits": 0},
    "the last network, not the average": {"averaging": 0},
    "a rubbish set of 500": {"kept": 500},
    "the case study's network: pooling, not told the noise": {"network": "study"},
    "the case study's network, no noise at all": {
        "network": "study",
        "ascent": {"noise": 0, "schedule": {"least_noise": 0}},
    },
}


@dataclass(frozen=True)
class Plan:
    """How large it is."""

    seeds: int = 3
    """Seeds to train with, counted from 0."""
    rounds: int = 500
    """Rounds of each variant."""
    count: int = 500
    """Images of each class that are judged."""
    images: int | None = None
    """Training images; None for all."""


QUICK = Plan(seeds=1, rounds=3, count=2, images=1000)


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Play all variants with one seed, then with the next; yields the result after every run.

    Keeps the rows of an earlier result, which must have the same plan except for its seeds.
    """
    result: Row = earlier or {"facts": facts(), "rows": []}
    result |= {"plan": asdict(plan)}
    held = {(row["variant"], row["seed"]) for row in result["rows"]}
    data = load_data()
    if plan.images is not None:
        data = data.first(plan.images)
    judge = load_network("judge")
    targets = torch.arange(data.n_classes).repeat_interleave(plan.count)
    for seed in range(plan.seeds):
        for variant in VARIANTS:
            ways = WAYS if variant == AS_IT_IS else {variant: WAYS[AS_IT_IS]}
            if all((name, seed) in held for name in ways):
                continue
            settings = _settings(variant, seed, plan)
            try:
                network, told = played(data, settings)
            except InputError as error:
                ended = str(error).partition(";")[0]  # not where its folder was
                result["rows"].append({"variant": variant, "seed": seed, "ended": ended})
                log.print(f"{variant}, seed {seed}: {ended}")
                yield result
                continue
            for name, way in ways.items():
                if (name, seed) in held:
                    continue
                drawn = draw(network, targets, seed=FRESH + seed, ascent=settings.ascent, **way)
                found = _judged(drawn, data, judge, seed)
                result["rows"].append({"variant": name, "seed": seed} | told | found)
                distance = found["frechet_distance"]
                log.print(f"{name}, seed {seed}: Fréchet distance {distance:.2f}")
                yield result


MEASURES = (
    Measure("judge agrees", "judge_agreement", percent=True),
    Measure("Fréchet distance", "frechet_distance"),
    Measure("coverage", "coverage"),
    Measure("density", "density"),
    Measure("digits read", "validation_accuracy", percent=True),
    Measure("time, s", "seconds"),
)


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    plan = result["plan"]
    lines = []
    for variant, rows in grouped(result["rows"], "variant").items():
        whole = [row for row in rows if "ended" not in row]
        measured = cells(whole, MEASURES) if whole else ["–"] * len(MEASURES)
        told = f"{len(rows) - len(whole)} of {len(rows)} diverged" if len(whole) < len(rows) else ""
        lines.append((variant, *measured, told))
    heads = ("", *titles(MEASURES), "")
    return "\n\n".join(
        (
            f"## Ablation\n\nThe `draw` preset with {plan['rounds']:,} rounds twice as large and "
            f"one thing changed; {plan['count']:,} images of each class against the validation "
            f"images; median of {plan['seeds']} seeds (least–greatest).",
            in_words(result["facts"]),
            markdown.table(heads, lines),
        )
    )


def _judged(drawn: FoolingResult, data: Dataset, judge: Classifier, seed: int) -> Row:
    """Measures of drawn images, and one image of each class to look at."""
    found = quality(
        drawn.images,
        drawn.targets,
        judge,
        data,
        reference=data.validation,
        seed=seed,
        with_classifier=False,
    )
    firsts = [int((drawn.targets == k).nonzero()[0, 0]) for k in range(data.n_classes)]
    return asdict(found) | {"shown": stripped(drawn.levels[firsts].numpy())}


def _settings(variant: str, seed: int, plan: Plan) -> EmergingSettings:
    usual = EmergingSettings().model_dump() | {
        **LARGE,
        "seed": seed,
        "rounds": plan.rounds,
        "shown": (),
        "measured": 10,
        "judged": 0,
    }
    change = VARIANTS[variant]
    ascent = EmergingSettings().ascent.settings_with(change.get("ascent", {}))
    return EmergingSettings(**usual | change | {"ascent": ascent})
