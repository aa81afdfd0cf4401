"""How well a recipe trains: test accuracy over several seeds, with the seconds it took."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean, stdev

from benchmarks.contest import Row, facts, in_words
from benchmarks.spread import Spread
from deceive.cli.screen import log
from deceive.common import markdown
from deceive.data.loading import load_data
from deceive.training.recipes import train


@dataclass(frozen=True)
class Plan:
    """Which networks are trained, and how often."""

    architectures: tuple[str, ...] = ("fast",)
    """Networks, each trained by its own recipe."""
    seeds: int = 5
    """Seeds to train with, counted from 0."""
    images: int | None = None
    """Training images; None for all."""


QUICK = Plan(seeds=2, images=2000)


def run(plan: Plan) -> Iterator[Row]:
    """Train every architecture by its own recipe with seeds 0, 1, …, each to its end."""
    started = facts()
    data = load_data()
    if plan.images is not None:
        data = data.first(plan.images)
    rows = []
    for seed in range(plan.seeds):
        for architecture in plan.architectures:
            _, card = train(architecture, data, seed=seed)
            rows.append(card.model_dump())
            log.print(
                f"{architecture}, seed {seed}: {card.test_accuracy:.2%} of the test set, "
                f"{card.validation_accuracy:.2%} of the validation set, {card.seconds:.1f} s"
            )
    yield {"facts": started, "rows": rows}


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    by_name = defaultdict(list)
    for row in result["rows"]:
        by_name[row["architecture"]].append(row)
    lines = []
    for name, rows in by_name.items():
        test = [row["test_accuracy"] for row in rows]
        seconds = Spread.of(row["seconds"] for row in rows)
        lines.append(
            (
                f"`{name}`",
                f"{rows[0]['settings']['epochs']:g}",
                ", ".join(f"{accuracy:.2%}" for accuracy in test),
                f"**{mean(test):.3%}** ± {100 * stdev(test):.3f}",
                f"{mean(row['validation_accuracy'] for row in rows):.2%}",
                f"{seconds.text()} s",
            )
        )
    heads = ("network", "epochs", "test, seed by seed", "mean ± standard deviation")
    return "\n\n".join(
        (
            "## Accuracy\n\nEach network by its own recipe, on 55,000 images; each training "
            "reads the test set when it ends.",
            in_words(result["facts"]),
            markdown.table((*heads, "validation, mean", "training time"), lines),
        )
    )
