"""Speedrun: seconds of two threads to 99.0, 99.2, 99.5 and 99.65% of the test digits, as a mean.

Entries train in turn, seed by seed, and read the test set once each, when they are done. Beside
each training, a part of an epoch of the case study's recipe is timed, so that a busy machine slows
both down.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import mean, stdev

import torch

from benchmarks.contest import Row, facts, in_words
from benchmarks.entries import ENTRIES
from benchmarks.original import ORIGINAL_BATCH, original_batches
from benchmarks.spread import Spread, grouped, paired_ratio
from deceive.cli.screen import log
from deceive.common import checks, markdown
from deceive.data.dataset import Dataset
from deceive.data.loading import load_data
from deceive.networks.inference import accuracy
from deceive.training.recipes import build

# As many seeds as the rules ask for.
_SEEDS = 20

# Images of the call that loads what an entry needs, before the clock starts.
_WARM = 1000


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    entries: tuple[str, ...] = tuple(ENTRIES)
    """Names from `benchmarks.entries.ENTRIES`."""
    seeds: int = _SEEDS
    """Trainings of each entry, with the seeds 0, 1, …"""
    threads: int = 2
    """Threads of all trainings; the rules say two."""
    batches: int = 60
    """Batches of the original recipe that are timed beside each training."""
    images: int | None = None
    """Training images; None for all."""


QUICK = Plan(seeds=2, threads=1, batches=2, images=1500)


def run(plan: Plan, earlier: Row | None = None, data: Dataset | None = None) -> Iterator[Row]:
    """Train every entry with every seed that isn't in the rows yet; on MNIST by default."""
    for name in plan.entries:
        checks.one_of("entries", name, ENTRIES)
    data = data or load_data()
    if plan.images is not None:
        data = data.first(plan.images)
    result: Row = {"rows": []} if earlier is None else earlier
    result |= {"facts": facts(), "plan": asdict(plan)}
    there = {(row["entry"], row["seed"]) for row in result["rows"]}
    before = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    try:
        for seed in range(plan.seeds):
            for name in plan.entries:
                if (name, seed) not in there:
                    result["rows"].append(_row(name, seed, data, plan))
                    yield result
    finally:
        torch.set_num_threads(before)


def _row(name: str, seed: int, data: Dataset, plan: Plan) -> Row:
    """One training of an entry, and a part of an epoch of the original recipe, timed."""
    level, train, about = ENTRIES[name]
    images, labels = data.train.images, data.train.labels
    if plan.images is None:  # all 60,000
        images = torch.cat([images, data.validation.images])
        labels = torch.cat([labels, data.validation.labels])
    train(images[:_WARM], labels[:_WARM], seed)
    wall, processor = time.perf_counter(), time.process_time()
    network = train(images, labels, seed)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    original = _original_epoch(data, seed, plan.batches)
    row = {
        "entry": name,
        "level": level,
        "about": about,
        "seed": seed,
        "seconds": wall,
        "processor_seconds": processor,
        "test_accuracy": accuracy(network, data.test.images, data.test.labels),
        "original_epoch": original[0],
        "original_epoch_processor": original[1],
    }
    log.print(
        f"{name}, seed {seed}: {row['test_accuracy']:.2%}, {wall:.1f} s "
        f"({processor:.1f} s of the processor), an epoch of the original {original[0]:.1f} s "
        f"({original[1]:.1f} s)"
    )
    return row


def _original_epoch(data: Dataset, seed: int, batches: int) -> tuple[float, float]:
    """Seconds on the wall and of the processor that an epoch of the original recipe takes."""
    network = build("study", data, seed=seed)
    original_batches(network, data.train, 2, seed)  # the first ones load what they need
    processor = time.process_time()
    wall = original_batches(network, data.train, batches, seed)
    processor = time.process_time() - processor
    scale = len(data.train) / (batches * ORIGINAL_BATCH)
    return wall * scale, processor * scale


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    lines = [_line(name, rows) for name, rows in grouped(result["rows"], "entry").items()]
    heads = ("entry", "level", "seeds", "test, mean ± standard error", "deviation", "reached")
    times = ("seconds", "of the processor", "epochs of the original recipe")
    epoch = Spread.of(row["original_epoch_processor"] for row in result["rows"])
    return "\n\n".join(
        (
            "## Speedrun\n\nTraining a reader of digits to a level of the test set, on MNIST's "
            "60,000 training images; the rules are in `../README.md`, and ask for 20 seeds. The "
            "last columns are seconds on the wall, seconds of the processor, and how many epochs "
            "of the original recipe cost as many of the latter, timed beside each training.",
            in_words(result["facts"] | {"threads": result["plan"]["threads"]}),
            markdown.table((*heads, *times), lines),
            f"An epoch of the original recipe: {epoch.text()} s of the processor.",
        )
    )


def _line(name: str, rows: list[Row]) -> tuple[str, ...]:
    accuracies = [row["test_accuracy"] for row in rows]
    average, level = mean(accuracies), rows[0]["level"]
    deviation = 100 * stdev(accuracies) if len(rows) > 1 else None
    reached = "yes" if average >= level else "no"
    processor = [row["processor_seconds"] for row in rows]
    epochs = paired_ratio(processor, [row["original_epoch_processor"] for row in rows])
    return (
        f"`{name}`: {rows[0]['about']}",
        f"{level:.2%}",
        str(len(rows)),
        f"**{average:.3%}**" + (f" ± {deviation / len(rows) ** 0.5:.3f}" if deviation else ""),
        f"{deviation:.3f}" if deviation else "",
        reached if len(rows) >= _SEEDS else "open",
        Spread.of(row["seconds"] for row in rows).text(),
        Spread.of(processor).text(),
        epochs.text(),
    )
