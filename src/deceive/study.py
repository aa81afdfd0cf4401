"""The case study, all four parts: train, deceive, teach rubbish, deceive again."""

import shlex
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from deceive.common import checks, processes
from deceive.common.arrays import CANDIDATES, Arrays, Layout
from deceive.common.checks import Count, Share
from deceive.common.errors import InputError
from deceive.common.levels import from_levels
from deceive.common.progress import Task
from deceive.data.loading import Dataset
from deceive.fooling.fool import FoolingResult, fool
from deceive.fooling.rules import Ascent
from deceive.judging.measures import agreement, caught, digit_accuracy
from deceive.networks.guarded import Network
from deceive.networks.inference import probabilities_of
from deceive.storage.models import Card, load_card, load_network, save_network
from deceive.storage.runs import Kind, Row, RowSchema, Run, arrays_of
from deceive.training.recipes import RECIPES, train
from deceive.training.rubbish import RubbishSet


class StudySettings(BaseModel):
    """What the study does, and how much of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str = "fast"
    """Architecture of the classifier that is deceived."""
    judge: str = "judge"
    """Shipped network that says what the fooling images look like."""
    epochs: float | None = Field(default=None, gt=0, lt=10_000)
    """Passes over the training images, each of the three times; by default its own recipe's."""
    training_images: int = Field(default=55_000, ge=1000)
    """The first so many of the training images."""
    confidence: float = Field(default=0.99, gt=0, lt=1)
    candidates: int = Field(default=100, ge=1)
    """Candidates for each digit, when a fooling rate is measured."""
    steps: int = Field(default=1000, ge=1, lt=checks.MOST)
    """The most steps a candidate may take."""
    noise_images: int = Field(default=6000, ge=1)
    """Images of uniform noise that are the first rubbish set."""
    fooling_images: int = Field(default=3000, ge=10)
    """Fooling images that join it in part 4."""
    seed: int = Field(default=0, ge=0, lt=checks.SEEDS)

    def check(self, data: Dataset) -> None:
        """Raise `InputError` when they don't fit the data or the machine's memory."""
        shape = data.image_shape
        checks.one_of("network", self.network, RECIPES)
        checks.in_memory("candidates", self.candidates * data.n_classes, shape)
        checks.in_memory("noise_images", self.noise_images, shape)
        checks.in_memory("fooling_images", self.fooling_images, shape)
        judge = load_card(self.judge)
        if judge.image_shape != shape:
            raise InputError(
                f"judge: expected a network for the data's images, {shape}, "
                f"got {self.judge!r} for {judge.image_shape}"
            )
        if judge.data_checksum != data.checksum:
            raise InputError(
                f"judge: expected a network trained on the images in {data.folder}, "
                f"got {self.judge!r}, trained on others; train one with deceive train --data"
            )


class _Settings(StudySettings):
    data_checksum: str | None = None


class _Part(RowSchema):
    seconds: float = Field(ge=0)


class _Classifier(_Part):
    network: str
    validation_accuracy: Share
    test_accuracy: Share


class _Fooling(_Part):
    candidates: Count = Field(ge=1)
    start: str
    confidence: Share
    fooling_rate: Share
    median_steps: float | None = Field(ge=0)
    judge_agreement: Share
    chance: Share


class _Rubbish(_Fooling):
    stage: Literal[1, 2]
    name: str
    rubbish_images: Count
    test_accuracy: Share
    test_accuracy_digits: Share
    caught: Share
    caught_all: Share


_ROWS: dict[str, type[RowSchema]] = {
    "classifier": _Classifier,
    "fooling": _Fooling,
    "rubbish": _Rubbish,
    "done": _Part,
}

STUDY = Kind(
    "study", "a study", _Settings, lambda _, row: [_ROWS[k] for k in _ROWS if k == row.get("part")]
)

FILMSTRIP: Layout = {
    "levels": "levels S C H W",
    "confidence": "shares S",
    "target": "counts",
}
"""The filmstrip's arrays: S images on the way, and what each is taken for."""

_READ: Layout = {"predicted": "counts N", "predicted_confidence": "shares N"}


def load_gallery(run: Run, name: str, **sizes: int) -> Arrays:
    """The arrays of one of the study's galleries, an image per class.

    Args:
        run: a study.
        name: the gallery's.
        sizes: known sizes of `arrays.CANDIDATES`' letters.

    Raises:
        InputError: when they are missing, damaged, or don't match.
    """
    read = _READ if name == "improved_model_predictions" else {}
    return run.load_arrays(name, {**CANDIDATES, **read}, **sizes)


# The networks of the three stages, by the names of their weights.
_STAGES = ("clean", "rubbish-1", "rubbish-2")

# The filmstrip's step size: some dozens of steps on the way.
_SLOW_MOTION = 0.0005


def study(data: Dataset, run: Run, settings: StudySettings, task: Task) -> Iterator[Row]:
    """Do what is missing in `run`, and give the row of each part as it is there.

    The parts: `classifier`, `fooling` (part 1), `rubbish` stages 1 and 2 (parts 2 to 4), `done`.
    """
    settings.check(data)
    run = run.of(STUDY)
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


def command(settings: Row) -> str:
    """The command that makes a study with these settings again, from the same data."""
    flags = [
        f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name, value in settings.items()
        if value is not None and name != "data_checksum"
    ]
    return " ".join(["deceive study", *flags])


def _train_clean(run: Run, data: Dataset, settings: StudySettings, task: Task) -> Row:
    _, card = _train(run, data, settings, task, stage=0)
    return {
        "network": settings.network,
        "n_outputs": card.n_outputs,
        "training_seconds": card.seconds,
        "validation_accuracy": card.validation_accuracy,
        "test_accuracy": card.test_accuracy,
    }


def _fool_clean(
    run: Run, data: Dataset, settings: StudySettings, judge: Network, task: Task
) -> Row:
    network = _trained(run, stage=0)
    ten = _deceive(network, data, settings, task, count=1)
    run.save_arrays("mnist_confidence", **arrays_of(ten))
    # One of them again in slow motion, since it takes but a few steps otherwise.
    shown = min(5, data.n_classes - 1)
    slow = fool(
        network,
        shown,
        confidence=settings.confidence,
        steps=settings.steps,
        ascent=Ascent(step_size=_SLOW_MOTION),
        seed=settings.seed,
        trajectory=True,
    )
    assert slow.trajectories is not None
    run.save_arrays(
        "filmstrip",
        levels=slow.trajectories[0].levels.numpy(),
        confidence=slow.trajectories[0].confidence.numpy(),
        target=slow.targets[0].numpy(),
    )
    return {"network": settings.network} | _measured(run, network, data, settings, judge, task, 0)


def _teach(
    run: Run, data: Dataset, settings: StudySettings, judge: Network, task: Task, *, stage: int
) -> Row:
    """Train a network from scratch on digits and rubbish, ask it about what fooled the last one."""
    rubbish = RubbishSet.of_noise(settings.noise_images, data.image_shape, seed=settings.seed + 1)
    if stage == 2:
        made = _deceive(
            _trained(run, stage=1),
            data,
            settings,
            task,
            count=-(-settings.fooling_images // data.n_classes),
            seed=settings.seed + 2,
        )
        rubbish += RubbishSet(made.levels[made.fooled][: settings.fooling_images])
    network, card = _train(run, data, settings, task, stage=stage, rubbish=rubbish)

    # What fooled the network before: is it caught now?
    sizes = dict(zip("CHW", data.image_shape, strict=True), K=data.n_classes)
    ten = load_gallery(run, "mnist_confidence" if stage == 1 else "deceive_improved", **sizes)
    old = run.load_arrays(f"candidates-{stage - 1}", CANDIDATES, **sizes)
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
        "training_seconds": card.seconds,
        "test_accuracy": card.test_accuracy,
        "test_accuracy_digits": digit_accuracy(network, test.images, test.labels, data.n_classes),
        "caught": caught(network, _images(ten["levels"]), data.n_classes),
        "caught_all": caught(network, _images(old["levels"]), data.n_classes),
    } | _measured(run, network, data, settings, judge, task, stage)


def _train(
    run: Run,
    data: Dataset,
    settings: StudySettings,
    task: Task,
    *,
    stage: int,
    rubbish: RubbishSet | None = None,
) -> tuple[Network, Card]:
    """Train the network of a stage and keep its weights; its seed is one of its own."""
    recipe = RECIPES[settings.network]
    if settings.epochs is not None:
        recipe = recipe.model_copy(update={"epochs": settings.epochs})
    lesson = (
        settings.network
        if rubbish is None
        else f"with {checks.counted(len(rubbish), 'image')} of rubbish"
    )
    with task(f"training {lesson}") as report:
        network, card = train(
            settings.network,
            data.first(settings.training_images),
            seed=settings.seed + 100 * stage,
            settings=recipe,
            rubbish=rubbish,
            callback=lambda now: report(now.step, now.steps),
        )
    card = card.model_copy(update={"command": command(settings.model_dump())})
    save_network(network, run.weights(_STAGES[stage]), card)
    return network, card


def _trained(run: Run, *, stage: int) -> Network:
    """The network of a stage, as it was kept; on CUDA if there is some."""
    return load_network(run.weights(_STAGES[stage])).to(processes.here().device)


def _measured(
    run: Run,
    network: Network,
    data: Dataset,
    settings: StudySettings,
    judge: Network,
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
    network: Network,
    data: Dataset,
    settings: StudySettings,
    task: Task,
    *,
    count: int,
    seed: int | None = None,
) -> FoolingResult:
    with task(f"deceiving, {checks.counted(count * data.n_classes, 'candidate')}") as report:
        return fool(
            network,
            range(data.n_classes),
            confidence=settings.confidence,
            count=count,
            steps=settings.steps,
            seed=settings.seed if seed is None else seed,
            callback=lambda now: report(now.finished, now.total),
        )


def _images(levels: Any) -> Tensor:
    return from_levels(torch.from_numpy(levels))
