"""How well digits are drawn after so much training: the rounds beside a VAE and a diffusion model.

Each is trained anew for every budget, so that its schedule ends with it, and judged off the clock.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from benchmarks import rivals
from benchmarks.contest import Row, facts, in_words
from benchmarks.pictures import stripped
from benchmarks.playing import AS_THEY_COME, FRESH, played
from benchmarks.spread import over_seeds
from deceive.common import markdown
from deceive.common.levels import from_levels, to_levels
from deceive.data.loading import Dataset, Split, load_data
from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import draw
from deceive.judging.quality import quality
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_network
from deceive.teaching import EmergingSettings

console = Console(stderr=True)


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    minutes: tuple[float, ...] = (2, 5, 10, 20, 60)
    """Budgets of training."""
    seeds: int = 3
    count: int = 1000
    """Images of each class that are judged."""
    trial: int = 300
    """Rounds that are played beforehand to see how many fit a budget."""
    images: int | None = None
    """Of the training images and of the test images, the first so many; None for all."""


QUICK = Plan(minutes=(0.02, 0.05), seeds=1, count=25, trial=5, images=1000)


@dataclass(frozen=True)
class Trained:
    """What came of one training."""

    seconds: float
    parameters: int
    told: Row
    """What else there is to say of it."""
    ways: dict[str, Callable[[Tensor, int], Tensor]]
    """How it draws, by name, the contestant's own first: classes (N,) and a seed → images
    (N, C, H, W) uint8."""


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Hold the contest, the contestants in turn; gives all there is so far after every training.

    Rows of an earlier result, which has to be of the same plan but for its budgets and seeds, are
    kept and not measured again.
    """
    sizes = asdict(plan)
    if earlier is None:
        result: Row = {"facts": facts(), "plan": sizes, "rows": []}
    else:
        result = earlier | {"plan": sizes}
    held = {(row["minutes"], row["seed"], row["contestant"]) for row in result["rows"]}
    data = load_data()
    if plan.images is not None:
        test = Split(data.test.images[: plan.images], data.test.labels[: plan.images])
        data = replace(data.first(plan.images), test=test)
    judge = load_network("judge")
    for seed, minutes, (name, train) in product(
        range(plan.seeds), plan.minutes, CONTESTANTS.items()
    ):
        if (minutes, seed, name) in held:
            continue
        trained = train(data, 60 * minutes, seed, plan)
        targets = torch.arange(data.n_classes).repeat_interleave(plan.count)
        for way, drawn in trained.ways.items():
            started = time.perf_counter()
            levels = drawn(targets, FRESH + seed)
            seconds = time.perf_counter() - started
            found = quality(
                from_levels(levels), targets, judge, data, reference=data.test, seed=seed
            )
            result["rows"].append(
                {
                    "contestant": way,
                    "minutes": minutes,
                    "seed": seed,
                    "seconds": trained.seconds,
                    "parameters": trained.parameters,
                    **trained.told,
                    "images_per_second": len(levels) / seconds,
                    **asdict(found),
                    "shown": stripped(levels[:: plan.count].numpy()),
                }
            )
            console.print(
                f"{way}, {minutes:g} minutes, seed {seed}: Fréchet distance "
                f"{found.frechet_distance:.2f}, the judge agrees with "
                f"{found.judge_agreement:.1%}; {len(levels) / seconds:.0f} images/s"
            )
        yield result


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    plan = result["plan"]
    by_training = defaultdict(list)
    for row in result["rows"]:
        by_training[row["minutes"], row["contestant"]].append(row)
    lines = [
        (
            f"{minutes:g}",
            name,
            f"{rows[0]['parameters']:,}",
            over_seeds(rows, "seconds"),
            over_seeds(rows, "frechet_distance"),
            over_seeds(rows, "judge_agreement", percent=True),
            over_seeds(rows, "density"),
            over_seeds(rows, "coverage"),
            over_seeds(rows, "classification_accuracy_score", percent=True),
            over_seeds(rows, "nearest_median"),
            over_seeds(rows, "nearest_first_percentile"),
            over_seeds(rows, "images_per_second"),
        )
        for (minutes, name), rows in sorted(by_training.items(), key=lambda item: item[0][0])
    ]
    everybody = result["rows"]
    lines.append(
        (
            "",
            "real images",
            "",
            "",
            over_seeds(everybody, "floor_frechet_distance"),
            "",
            over_seeds(everybody, "floor_density"),
            over_seeds(everybody, "floor_coverage"),
            "",
            over_seeds(everybody, "held_out_nearest_median"),
            over_seeds(everybody, "held_out_nearest_first_percentile"),
            "",
        )
    )
    heads = (
        "minutes",
        "",
        "parameters",
        "trained, s",
        "Fréchet distance",
        "judge agrees",
        "density",
        "coverage",
        "classification accuracy score",
        "nearest training image, median",
        "first percentile",
        "images a second",
    )
    return "\n\n".join(
        (
            f"## Drawing\n\n{everybody[0]['images']:,} images of each, against the test images; "
            f"median of seeds (least–greatest), of which there are {plan['seeds']}. Real images "
            "are as many of each digit of the training set; under the nearest training image, of "
            "the test set.",
            in_words(result["facts"]),
            markdown.table(heads, lines),
        )
    )


def _rounds(data: Dataset, seconds: float, seed: int, plan: Plan) -> Trained:
    """As many rounds of the preset `draw` as fit, by the time that the first few of them take."""
    settings = EmergingSettings(seed=seed, shown=(), measured=10, judged=0, rounds=plan.trial)
    _, trial = played(data, settings)
    count = max(1, round(seconds * plan.trial / trial["seconds"]))
    network, told = played(data, settings.model_copy(update={"rounds": count}))
    return Trained(
        told.pop("seconds"),
        sum(parameter.numel() for parameter in network.parameters()),
        told,
        {
            "rounds": partial(_drawn, network, settings.ascent),
            "rounds, as they come": partial(_drawn, network, settings.ascent, **AS_THEY_COME),
        },
    )


def _drawn(network: Classifier, ascent: Ascent, targets: Tensor, seed: int, **how: Any) -> Tensor:
    return draw(network, targets, seed=seed, ascent=ascent, **how).levels


def _rival(name: str) -> Callable[[Dataset, float, int, Plan], Trained]:
    def trained(data: Dataset, seconds: float, seed: int, plan: Plan) -> Trained:
        rival = rivals.build(name, data, seed=seed)
        training = rivals.train(rival, data.train, seconds, seed=seed)
        return Trained(
            training.seconds,
            rival.parameter_count,
            {"steps": training.steps, "epochs": training.images / len(data.train)},
            {name: lambda targets, seed: to_levels(rival.sample(targets, seed=seed))},
        )

    return trained


CONTESTANTS: dict[str, Callable[[Dataset, float, int, Plan], Trained]] = {
    "rounds": _rounds,
    **{name: _rival(name) for name in rivals.RIVALS},
}
