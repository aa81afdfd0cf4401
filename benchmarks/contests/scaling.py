"""How the cost of `fool` and of a round grows with images, steps, classes and pixels.

One of them at a time is varied, on one thread. The networks are untrained and every image takes all
its steps, so nothing else changes. The clock counts processor time, which other programs hardly
affect.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.contest import Row, facts, in_words
from benchmarks.spread import significant
from deceive.cli.screen import log
from deceive.common import markdown
from deceive.data.dataset import Dataset, Split
from deceive.fooling.fool import fool
from deceive.networks.classifier import Classifier
from deceive.teaching import EmergingSettings
from deceive.teaching.continual import Continual

# Rounds per gradient penalty.
_ROUNDS = 4


@dataclass(frozen=True)
class Size:
    """How large one piece of work is."""

    images: int
    """Of a call of `fool`, or candidates of a round."""
    steps: int
    classes: int = 10
    side: int = 28
    """Images have its square of pixels."""


FOOL, ROUND = Size(images=250, steps=10), Size(images=64, steps=2)


@dataclass(frozen=True)
class Plan:
    """The sizes to vary, around `FOOL` and `ROUND`."""

    repeats: int = 3
    """How often each size takes its turn."""
    images: tuple[int, ...] = (125, 250, 500, 1000)
    steps: tuple[int, ...] = (5, 10, 20, 40)
    candidates: tuple[int, ...] = (32, 64, 128, 256, 512)
    round_steps: tuple[int, ...] = (1, 2, 4, 8)
    classes: tuple[int, ...] = (10, 100, 1000)
    sides: tuple[int, ...] = (14, 28, 56)


QUICK = Plan(
    repeats=1,
    images=(10, 20),
    steps=(2, 4),
    candidates=(8, 16),
    round_steps=(1, 2),
    classes=(10, 20),
    sides=(14, 28),
)


def run(plan: Plan) -> Iterator[Row]:
    """Each piece of work in turn, repeatedly; yields the result after every turn."""
    started = facts()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network = Classifier("draw", 11)
    result: Row = {
        "facts": started | {"threads": 1},
        "plan": asdict(plan),
        "sizes": {"fool": asdict(FOOL), "round": asdict(ROUND)},
        "parameters": sum(each.numel() for each in network.parameters()),
        "rows": [],
    }
    for repeat in range(plan.repeats):
        for what, axis, value, size in sizes(plan):
            seconds, processor_seconds = WORK[what](size)
            row: Row = {"what": what, "axis": axis, "value": value, "repeat": repeat} | asdict(size)
            result["rows"].append(
                row | {"seconds": seconds, "processor_seconds": processor_seconds}
            )
            log.print(f"{what}, {axis} {value}: {processor_seconds:.3f} s")
        yield result
    torch.set_num_threads(threads)


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    fool, each_round = result["sizes"]["fool"], result["sizes"]["round"]
    lines = []
    for what, axis in dict.fromkeys((row["what"], row["axis"]) for row in result["rows"]):
        least: dict[int, float] = {}
        for row in result["rows"]:
            if (row["what"], row["axis"]) == (what, axis):
                seconds = row["processor_seconds"]
                least[row["value"]] = min(seconds, least.get(row["value"], seconds))
        each = (f"{value:,}: {significant(1000 * cost)}" for value, cost in least.items())
        exponent = slope(list(least), list(least.values()))
        lines.append((what, axis, "; ".join(each), f"{exponent:.2f}"))
    return "\n\n".join(
        (
            f"## Scaling\n\nMilliseconds of one processor, the least of "
            f"{1 + max(row['repeat'] for row in result['rows'])} turns, as one thing is "
            "varied; and the exponent with which they grow (1: in proportion). `fool`: "
            f"{fool['images']} images, {fool['steps']} steps, on the `fast` network; a round: "
            f"{each_round['images']} candidates, {each_round['steps']} steps, one step of the "
            f"`draw` network ({result['parameters']:,} parameters). 10 classes and 28×28 pixels "
            "in both.",
            in_words(result["facts"]),
            markdown.table(("", "varied", "milliseconds", "exponent"), lines),
        )
    )


def sizes(plan: Plan) -> list[tuple[str, str, int, Size]]:
    """The task, the name and value of what is varied, and the resulting size."""
    axes: list[tuple[str, Size, str, str, tuple[int, ...]]] = [
        ("fool", FOOL, "images", "images", plan.images),
        ("fool", FOOL, "steps", "steps", plan.steps),
        ("round", ROUND, "images", "images", plan.candidates),
        ("round", ROUND, "steps", "steps", plan.round_steps),
    ]
    for what, base in (("fool", FOOL), ("round", ROUND)):
        axes.append((what, base, "classes", "classes", plan.classes))
        axes.append((what, base, "pixels", "side", plan.sides))
    return [
        (what, axis, value**2 if axis == "pixels" else value, _with(base, field, value))
        for what, base, axis, field, values in axes
        for value in values
    ]


def slope(values: list[float], seconds: list[float]) -> float:
    """The exponent with which the cost grows: least squares through the logarithms."""
    x, y = [math.log(value) for value in values], [math.log(second) for second in seconds]
    middle = sum(x) / len(x)
    above = sum((a - middle) * b for a, b in zip(x, y, strict=True))
    return above / sum((a - middle) ** 2 for a in x)


def _with(base: Size, field: str, value: int) -> Size:
    return Size(**asdict(base) | {field: value})


# So much that every image takes all its steps.
_NEVER = 1 - 1e-7


def _fool(size: Size) -> tuple[float, float]:
    network = Classifier("fast", size.classes, (1, size.side, size.side)).eval()
    targets = torch.arange(size.images) % size.classes
    fool(network, targets[:2], confidence=_NEVER, steps=1)  # the first call sets things up
    return _timed(lambda: fool(network, targets, confidence=_NEVER, steps=size.steps))


def _round(size: Size) -> tuple[float, float]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2000, 1, size.side, size.side, generator=generator)
    digits = Split(images, torch.randint(size.classes, (2000,), generator=generator))
    data = Dataset(digits, digits, digits, n_classes=size.classes, checksum="", folder=Path())
    settings = EmergingSettings(
        candidates=size.images,
        steps=size.steps,
        kept=max(1000, size.images),
        training_images=2000,
    )
    game = Continual(data, settings)
    game.play()
    seconds = _timed(lambda: [game.play() for _ in range(_ROUNDS)])
    return seconds[0] / _ROUNDS, seconds[1] / _ROUNDS


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock on the wall, and by the processor's."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


WORK: dict[str, Callable[[Size], tuple[float, float]]] = {"fool": _fool, "round": _round}
