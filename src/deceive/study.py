"""The case study, all four parts: train, deceive, teach rubbish, deceive again."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from deceive.data import Dataset
from deceive.fooling import FoolingResult, fool, from_levels
from deceive.inference import accuracy, probabilities_of
from deceive.measures import agreement, caught, digit_accuracy
from deceive.models import load_network, save_network
from deceive.networks import Classifier
from deceive.recipes import RECIPES, build, card_of, train
from deceive.rubbish import RubbishSet
from deceive.runs import Row, Run, arrays_of
from deceive.training import fit


class StudySettings(BaseModel):
    """What the study does, and how much of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = "fast"
    """Architecture of the classifier that is deceived."""
    judge: str = "judge"
    """Shipped network that says what the fooling images look like."""
    epochs: float = Field(default=RECIPES["fast"].epochs, gt=0)
    """Passes over the training images, each of the three times."""
    training_images: int = Field(default=55_000, ge=1000)
    """The first so many of the training images."""
    confidence: float = Field(default=0.99, gt=0, lt=1)
    candidates: int = Field(default=100, ge=1)
    """Candidates for each digit, when a fooling rate is measured."""
    steps: int = Field(default=500, ge=1)
    """The most steps a candidate may take."""
    noise_images: int = Field(default=6000, ge=1)
    """Images of uniform noise that are the first rubbish set."""
    fooling_images: int = Field(default=3000, ge=10)
    """Fooling images that join it in part 4."""
    seed: int = 0


# Called with a description; what it gives takes (done, total) as the work goes on.
Task = Callable[[str], AbstractContextManager[Callable[[float, float], None]]]


def study(data: Dataset, run: Run, settings: StudySettings, task: Task) -> Iterator[Row]:
    """Do what is missing in `run`, and give the row of each part as it is there.

    The parts: `classifier`, `fooling` (part 1), `rubbish` stages 1 and 2 (parts 2 to 4), `done`.
    """
    judge = load_network(settings.judge)

    def once(like: Row, make: Callable[[], Row]) -> Row:
        if row := run.row(**like):
            return row
        started = time.perf_counter()
        row = make()
        return run.add(like | row | {"seconds": round(time.perf_counter() - started, 2)})

    yield once({"part": "classifier"}, lambda: _train_clean(run, data, settings, task))
    yield once({"part": "fooling"}, lambda: _fool_clean(run, data, settings, judge, task))
    yield once(
        {"part": "rubbish", "stage": 1}, lambda: _teach(run, data, settings, judge, task, stage=1)
    )
    yield once(
        {"part": "rubbish", "stage": 2}, lambda: _teach(run, data, settings, judge, task, stage=2)
    )
    seconds = sum(row["seconds"] for row in run.rows() if row["part"] != "done")
    yield run.row(part="done") or run.add({"part": "done", "seconds": round(seconds, 2)})


def summary(rows: list[Row]) -> dict[str, Any]:
    """The rows of a finished study as one object."""
    by_part = {row["part"]: row for row in rows}
    return {
        "classifier": by_part["classifier"],
        "fooling": by_part["fooling"],
        "rubbish": [row for row in rows if row["part"] == "rubbish"],
        "seconds": by_part["done"]["seconds"],
    }


def _train_clean(run: Run, data: Dataset, settings: StudySettings, task: Task) -> Row:
    recipe = RECIPES[settings.network].model_copy(update={"epochs": settings.epochs})
    with task(f"training {settings.network}") as report:
        network, card = train(
            settings.network,
            _cut(data, settings),
            seed=settings.seed,
            settings=recipe,
            callback=lambda now: report(now.step, now.steps),
        )
    save_network(network, run.weights("clean"), card)
    return {
        "network": settings.network,
        "n_outputs": network.n_outputs,
        "training_seconds": card.seconds,
        "validation_accuracy": card.validation_accuracy,
        "test_accuracy": card.test_accuracy,
    }


def _fool_clean(
    run: Run, data: Dataset, settings: StudySettings, judge: Classifier, task: Task
) -> Row:
    network = load_network(run.weights("clean"))
    ten = _deceive(network, data, settings, task, count=1, trajectory=True)
    run.save_arrays("mnist_confidence", **arrays_of(ten))
    assert ten.trajectories is not None
    shown = min(5, data.n_classes - 1)
    way = ten.trajectories[shown]
    run.save_arrays(
        "filmstrip",
        levels=way.levels.numpy(),
        confidence=way.confidence.numpy(),
        target=ten.targets[shown].numpy(),
    )
    return {"network": settings.network} | _measured(run, network, data, settings, judge, task, 0)


def _teach(
    run: Run, data: Dataset, settings: StudySettings, judge: Classifier, task: Task, *, stage: int
) -> Row:
    """Train a network from scratch on digits and rubbish, ask it about what fooled the last one."""
    before = load_network(run.weights("clean" if stage == 1 else "rubbish-1"))
    seed = settings.seed + 100 * stage
    noise = RubbishSet.of_noise(settings.noise_images, data.image_shape, seed=settings.seed + 1)
    rubbish = noise
    if stage == 2:
        made = _deceive(
            before,
            data,
            settings,
            task,
            count=-(-settings.fooling_images // data.n_classes),
            seed=settings.seed + 2,
        )
        rubbish = noise + RubbishSet(made.levels[: settings.fooling_images])

    cut = _cut(data, settings)
    images, labels, is_rubbish = rubbish.beside(cut.train, data.n_classes)
    recipe = RECIPES[settings.network].model_copy(update={"epochs": settings.epochs})
    network = build(settings.network, data, seed=seed, rubbish_class=True)
    with task(f"teaching {len(rubbish):,} images of rubbish") as report:
        seconds = fit(
            network,
            images,
            labels,
            recipe,
            seed=seed,
            still=is_rubbish,
            callback=lambda now: report(now.step, now.steps),
        )
    card = card_of(network, cut, recipe, seed=seed, seconds=seconds)
    save_network(network, run.weights(f"rubbish-{stage}"), card)

    # What fooled the network before: is it caught now?
    ten = run.load_arrays("mnist_confidence" if stage == 1 else "deceive_improved")
    old = run.load_arrays(f"candidates-{stage - 1}")
    if stage == 1:
        confidence, predicted = probabilities_of(network, _images(ten["levels"])).max(1)
        run.save_arrays(
            "improved_model_predictions",
            **ten,
            predicted=predicted.numpy(),
            predicted_confidence=confidence.numpy(),
        )
    fresh = _deceive(network, data, settings, task, count=1)
    run.save_arrays("deceive_improved" if stage == 1 else "second_mispredicted", **arrays_of(fresh))
    test = data.test
    return {
        "name": "uniform noise" if stage == 1 else "fooling images",
        "rubbish_images": len(rubbish),
        "training_seconds": round(seconds, 2),
        "test_accuracy": accuracy(network, test.images, test.labels),
        "test_accuracy_digits": digit_accuracy(network, test.images, test.labels, data.n_classes),
        "caught": caught(network, _images(ten["levels"]), data.n_classes),
        "caught_all": caught(network, _images(old["levels"]), data.n_classes),
    } | _measured(run, network, data, settings, judge, task, stage)


def _measured(
    run: Run,
    network: Classifier,
    data: Dataset,
    settings: StudySettings,
    judge: Classifier,
    task: Task,
    stage: int,
) -> Row:
    """Fooling rate, steps and the judge's opinion, over many candidates for each digit."""
    result = _deceive(
        network, data, settings, task, count=settings.candidates, seed=settings.seed + 3
    )
    run.save_arrays(f"candidates-{stage}", **arrays_of(result))
    return {
        "candidates": len(result),
        "start": "uniform",
        "confidence": settings.confidence,
        "fooling_rate": result.fooling_rate,
        "median_steps": result.median_steps,
        "judge_agreement": agreement(judge, result.images, result.targets),
        "chance": 1 / data.n_classes,
    }


def _deceive(
    network: Classifier,
    data: Dataset,
    settings: StudySettings,
    task: Task,
    *,
    count: int,
    seed: int | None = None,
    trajectory: bool = False,
) -> FoolingResult:
    with task(f"deceiving, {count * data.n_classes:,} candidates") as report:
        return fool(
            network,
            range(data.n_classes),
            confidence=settings.confidence,
            count=count,
            steps=settings.steps,
            seed=settings.seed if seed is None else seed,
            trajectory=trajectory,
            callback=lambda now: report(now.finished, now.total),
        )


def _cut(data: Dataset, settings: StudySettings) -> Dataset:
    first = slice(settings.training_images)
    train = replace(data.train, images=data.train.images[first], labels=data.train.labels[first])
    return replace(data, train=train)


def _images(levels: Any) -> Tensor:
    return from_levels(torch.from_numpy(levels))
