"""How well digits are drawn after so much training: the rounds beside four generative models.

Each is retrained for every budget, so that its schedule ends with it, and judged off the clock.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from benchmarks import rivals
from benchmarks.colour import resnet
from benchmarks.contest import Row, facts, in_words
from benchmarks.pictures import stripped
from benchmarks.playing import AS_THEY_COME, FRESH, played
from benchmarks.spread import Measure, cells, cells_of_real, grouped, titles
from deceive.cli.screen import log
from deceive.common import checks, markdown
from deceive.common.files import read_json
from deceive.common.levels import from_levels, to_levels
from deceive.data.dataset import Dataset, Split
from deceive.data.loading import load_data
from deceive.fooling.drawing import draw
from deceive.judging.quality import quality
from deceive.networks.classifier import Classifier
from deceive.networks.inference import accuracy
from deceive.storage.models import load_network
from deceive.teaching import PRESETS, EmergingSettings, changed


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    contestants: tuple[str, ...] = ("rounds", *rivals.RIVALS)
    """Who takes part."""
    minutes: tuple[float, ...] = (2, 5, 10, 20, 60)
    """Budgets of training."""
    seeds: int = 3
    """Seeds to train with, counted from 0."""
    count: int = 1000
    """Images of each class that are judged."""
    trial: int = 300
    """Rounds that are played beforehand, after a fifth as many, to see how many fit a budget."""
    images: int | None = None
    """How many of the training and test images to use, from the first; None for all."""
    data: str | None = None
    """A folder or file of other images than the usual ones."""
    judge: str = "judge"
    """The network that judges them, by name or path; it must have been trained on such images. A
    file without a card is taken for a ResNet of `benchmarks.colour`."""
    preset: str = "draw"
    """The preset of the rounds, one in which images emerge."""
    settings: Path | None = None
    """A JSON file of settings for the rounds that differ from the preset's."""


QUICK = Plan(minutes=(0.02, 0.05), seeds=1, count=25, trial=5, images=1000)


_EMERGING = {
    name: settings for name, settings in PRESETS.items() if isinstance(settings, EmergingSettings)
}
"""The presets of rounds in which images emerge."""


@dataclass(frozen=True)
class Trained:
    """The result of one training."""

    seconds: float
    parameters: int
    told: Row
    """Other facts for its rows."""
    ways: dict[str, Callable[[Tensor, int], Tensor]]
    """How it draws, by name, the contestant's own first: classes (N,) and a seed → images
    (N, C, H, W) uint8."""


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Hold the contest, the contestants in turn; yields the result so far after every training.

    Keeps the rows of an earlier result, which must have the same plan except for budgets and seeds.
    """
    checks.one_of("--preset", plan.preset, _EMERGING)
    sizes = asdict(plan) | {
        "data": plan.data and Path(plan.data).name,
        "judge": Path(plan.judge).name,
        "settings": plan.settings and read_json(plan.settings, "a JSON object of settings"),
    }
    if earlier is None:
        result: Row = {"facts": facts(), "plan": sizes, "rows": []}
    else:
        result = earlier | {"plan": sizes}
    held = {(row["minutes"], row["seed"], row["contestant"]) for row in result["rows"]}
    data = load_data(plan.data)
    if plan.images is not None:
        test = Split(data.test.images[: plan.images], data.test.labels[: plan.images])
        data = replace(data.first(plan.images), test=test)
    judge = _judge(plan.judge)
    for seed, minutes, name in product(range(plan.seeds), plan.minutes, plan.contestants):
        if (minutes, seed, name) in held:
            continue
        trained = CONTESTANTS[name](data, 60 * minutes, seed, plan)
        targets = torch.arange(data.n_classes).repeat_interleave(plan.count)
        result["rows"] += [
            {"minutes": minutes, "seed": seed, "measured": facts()["date"].split()[0]}
            | _judged(trained, way, data, judge, targets, seed)
            for way in trained.ways
        ]
        yield result


def _judge(name: str) -> Any:
    """The network of this name or path, or the ResNet in a file without a card."""
    path = Path(name)
    if path.is_file() and not path.with_suffix(".json").exists():
        return resnet(name)
    return load_network(name)


def _judged(
    trained: Trained, way: str, data: Dataset, judge: Any, targets: Tensor, seed: int
) -> Row:
    """A row: what it draws in one of its ways, judged."""
    started = time.perf_counter()
    levels = trained.ways[way](targets, FRESH + seed)
    pace = len(levels) / (time.perf_counter() - started)
    found = quality(from_levels(levels), targets, judge, data, reference=data.test, seed=seed)
    log.print(
        f"{way}, {trained.seconds / 60:.1f} minutes, seed {seed}: Fréchet distance "
        f"{found.frechet_distance:.2f}, the judge agrees with {found.judge_agreement:.1%}; "
        f"{pace:.0f} images/s"
    )
    return {
        "contestant": way,
        "seconds": trained.seconds,
        "parameters": trained.parameters,
        **trained.told,
        "images_per_second": pace,
        **asdict(found),
        "shown": stripped(levels[:: len(levels) // data.n_classes].numpy()),
    }


_WALL, _PROCESSOR = "wall", "processor"
_CLOCKS = {_WALL: time.perf_counter, _PROCESSOR: time.process_time}


def _clock() -> str:
    """The processor's on one thread, so that other programs take no training away."""
    return _PROCESSOR if torch.get_num_threads() == 1 else _WALL


MEASURES = (
    Measure("trained, s", "seconds"),
    Measure("Fréchet distance", "frechet_distance", of_real="floor_frechet_distance"),
    Measure("judge agrees", "judge_agreement", percent=True),
    Measure("density", "density", of_real="floor_density"),
    Measure("coverage", "coverage", of_real="floor_coverage"),
    Measure("classification accuracy score", "classification_accuracy_score", percent=True),
    Measure("nearest training image, median", "nearest_median", of_real="held_out_nearest_median"),
    Measure(
        "first percentile",
        "nearest_first_percentile",
        of_real="held_out_nearest_first_percentile",
    ),
    Measure("images a second", "images_per_second"),
    Measure("validation digits read", "validation_accuracy", percent=True),
    Measure("test digits read", "test_accuracy", percent=True),
)


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    every = result["rows"]
    by_training = sorted(grouped(every, "minutes", "contestant").items(), key=_minutes)
    lines = [
        (
            f"{minutes:g}",
            name,
            f"{rows[0]['parameters']:,}",
            str(len(rows)),
            rows[0].get("clock", _WALL),
            ", ".join(sorted({row["measured"] for row in rows if "measured" in row})),
            *cells(rows, MEASURES),
        )
        for (minutes, name), rows in by_training
    ]
    lines.append(("", "real images", "", "", "", "", *cells_of_real(every, MEASURES)))
    heads = ("minutes", "", "parameters", "seeds", "clock", "measured", *titles(MEASURES))
    return "\n\n".join(
        (
            f"## Drawing\n\n{every[0]['images']:,} images of each, against the test images; "
            "median of the seeds (least–greatest). Real images are as many of each digit of the "
            "training set; under the nearest training image, of the test set. The clock is that on "
            "the wall, or the processor's.",
            in_words(result["facts"]),
            markdown.table(heads, lines),
        )
    )


def _minutes(group: tuple[tuple[float, str], list[Row]]) -> float:
    return group[0][0]


def _rounds(data: Dataset, seconds: float, seed: int, plan: Plan) -> Trained:
    """As many rounds of the preset as fit.

    The difference between a short and a longer trial is the time of their rounds alone. A trial
    before both warms up: the first run of a process takes longer.
    """
    own = {"seed": seed, "judge": plan.judge, "shown": (), "measured": 10, "judged": 0}
    judge = _judge(plan.judge)

    def settings_for(rounds: int) -> EmergingSettings:
        chosen = cast(EmergingSettings, changed(_EMERGING[plan.preset], plan.settings))
        return chosen.model_copy(update=own | {"rounds": rounds})

    def time_of(rounds: int) -> float:
        return float(_timed(data, settings_for(rounds), judge)[1]["seconds"])

    short = max(1, plan.trial // 5)
    longer = max(short + 1, plan.trial)
    _, before, after = (time_of(rounds) for rounds in (short, short, longer))
    each = max(after - before, 0.1 * after) / (longer - short)
    settings = settings_for(max(1, round(longer + (seconds - after) / each)))
    network, told = _timed(data, settings, judge)
    return Trained(
        told.pop("seconds"),
        sum(parameter.numel() for parameter in network.parameters()),
        told,
        {
            "rounds": partial(_drawn, network, settings),
            "rounds, as they come": partial(_drawn, network, settings, **AS_THEY_COME),
        },
    )


def _timed(data: Dataset, settings: EmergingSettings, judge: Any) -> tuple[Classifier, Row]:
    """The network after its rounds, and facts about them; measuring counts by the processor's."""
    clock = _clock()
    started = _CLOCKS[clock]()
    network, told = played(data, settings, judge)
    if clock == _PROCESSOR:
        told["seconds"] = _CLOCKS[clock]() - started
    return network, told | {"clock": clock}


def _drawn(
    network: Classifier, settings: EmergingSettings, targets: Tensor, seed: int, **how: Any
) -> Tensor:
    usual: Any = {"start": settings.start, "ascent": settings.ascent, "seed": seed}
    return draw(network, targets, **usual, **how).levels


def _rival(name: str) -> Callable[[Dataset, float, int, Plan], Trained]:
    def trained(data: Dataset, seconds: float, seed: int, plan: Plan) -> Trained:
        rival = rivals.build(name, data, seed=seed)
        clock = _clock()
        training = rivals.train(rival, data.train, seconds, seed=seed, clock=_CLOCKS[clock])
        told = {
            "clock": clock,
            "steps": training.steps,
            "epochs": training.images / len(data.train),
            "restarts": training.restarts,
        }
        if (reader := rival.reader()) is not None:
            for part, split in (("validation", data.validation), ("test", data.test)):
                told[f"{part}_accuracy"] = accuracy(reader, split.images, split.labels)
        ways = {name: lambda targets, seed: to_levels(rival.sample(targets, seed=seed))}
        return Trained(training.seconds, rival.parameter_count, told, ways)

    return trained


CONTESTANTS: dict[str, Callable[[Dataset, float, int, Plan], Trained]] = {
    "rounds": _rounds,
    **{name: _rival(name) for name in rivals.RIVALS},
}
