"""How well a recipe trains: test accuracy over several seeds, with the seconds it took."""

from dataclasses import dataclass

from rich.console import Console

from benchmarks.contest import Row, facts
from deceive.data.loading import load_data
from deceive.training.recipes import train

console = Console(stderr=True)


@dataclass(frozen=True)
class Plan:
    """Which networks are trained, and how often."""

    architectures: tuple[str, ...] = ("fast",)
    seeds: int = 5
    images: int | None = None
    """Training images; None for all."""


QUICK = Plan(seeds=2, images=2000)


def run(plan: Plan) -> Row:
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
            console.print(
                f"{architecture}, seed {seed}: {card.test_accuracy:.2%} of the test set, "
                f"{card.validation_accuracy:.2%} of the validation set, {card.seconds:.1f} s"
            )
    return {"facts": started, "rows": rows}
