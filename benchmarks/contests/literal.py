"""One literal round of the case study: ours beside the original recipe.

Both deceive the same network with 3,000 images, and train a new one on the digits, 6,000 squares of
noise and those images, five epochs. The original is done in part, and its time scaled up: it takes
ten minutes and more.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

from benchmarks.contest import Row, facts, in_words
from benchmarks.original import ORIGINAL_BATCH, original_batches
from benchmarks.spread import over_seeds, paired_ratio
from deceive.cli.screen import log
from deceive.common import markdown
from deceive.data.dataset import Dataset, Split
from deceive.data.loading import load_data
from deceive.fooling.starts import begin
from deceive.networks.classifier import Classifier
from deceive.teaching import RetrainingSettings
from deceive.teaching.retraining import Retraining
from deceive.training.recipes import build


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    repeats: int = 3
    """Rounds of each recipe, each with its own seed."""
    share: int = 100
    """Images of the 3,000 that the original recipe makes."""
    batches: int = 200
    """Batches of the five epochs that it trains on."""
    candidates: int = 3000
    """Fooling images of the round."""
    noise_images: int = 6000
    """Squares of noise that are rubbish from the beginning."""
    epochs: float = 5
    """Passes over digits and rubbish."""
    images: int | None = None
    """Training images; None for all."""


QUICK = Plan(1, share=3, batches=5, candidates=30, noise_images=60, epochs=0.2, images=1000)


def run(plan: Plan, data: Dataset | None = None) -> Iterator[Row]:
    """Round 1, ours and theirs in turn; every repeat has its own seed and its own round 0.

    On MNIST, where no data are given.
    """
    started, data = facts(), data or load_data()
    if plan.images is not None:
        data = data.first(plan.images)
    rows: list[Row] = []
    for seed in range(plan.repeats):
        settings = RetrainingSettings(
            seed=seed,
            candidates=plan.candidates,
            noise_images=plan.noise_images,
            epochs=plan.epochs,
        )
        game = Retraining(data, settings)
        game.begin()
        deceived = game.network
        begun = time.perf_counter()
        rubbish = game.deceive()
        between = time.perf_counter()
        game.teach(rubbish)
        ended = time.perf_counter()
        rows.append(_row("deceive", seed, between - begun, ended - between))

        images, labels, _ = game.rubbish.beside(data.train, data.n_classes)
        epochs_in_batches = plan.epochs * len(images) / ORIGINAL_BATCH
        begun = time.perf_counter()
        one_by_one(deceived, plan.share, seed)
        between = time.perf_counter()
        network = build("study", data, seed=seed, rubbish_class=True)
        seconds = original_batches(network, Split(images, labels), plan.batches, seed)
        rows.append(
            _row(
                "original",
                seed,
                (between - begun) * plan.candidates / plan.share,
                seconds * epochs_in_batches / plan.batches,
            )
        )
    yield {"facts": started, "plan": asdict(plan), "rows": rows}


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    by_recipe = defaultdict(list)
    for row in result["rows"]:
        by_recipe[row["recipe"]].append(row)
    lines = [
        (recipe, *(over_seeds(rows, field) for field in ("fooling", "training", "seconds")))
        for recipe, rows in by_recipe.items()
    ]
    times = ([row["seconds"] for row in by_recipe[name]] for name in ("original", "deceive"))
    plan = result["plan"]
    return "\n\n".join(
        (
            "## A literal round\n\nSeconds for round 1 of the study's rounds: "
            f"{plan['candidates']:,} fooling images, and a new network trained on the digits and "
            f"all rubbish, {plan['epochs']:g} epochs. The original's are those of "
            f"{plan['share']:,} images and {plan['batches']:,} batches, scaled up.",
            in_words(result["facts"]),
            markdown.table(("recipe", "to deceive, s", "to train, s", "both, s"), lines),
            f"The original's time over ours: {paired_ratio(*times).text()}.",
        )
    )


def one_by_one(network: Classifier, count: int, seed: int) -> None:
    """Make `count` fooling images after one another, each from uniform noise to 0.99.

    Adam on the pixels, at a rate of 0.01, down the cross-entropy; at most 1,000 steps.
    """
    for index in range(count):
        target = torch.tensor([index % (network.n_outputs - 1)])
        image = begin("uniform", [index], network.image_shape, seed).requires_grad_()
        optimiser = torch.optim.Adam([image], lr=0.01)
        for _ in range(1000):
            logits = network(image)
            if logits.softmax(1)[0, target] >= 0.99:
                break
            optimiser.zero_grad()
            F.cross_entropy(logits, target).backward()
            optimiser.step()
            with torch.no_grad():
                image.clamp_(0, 1)


def _row(recipe: str, seed: int, fooling: float, training: float) -> Row:
    log.print(f"{recipe}, seed {seed}: {fooling:.1f} s to deceive, {training:.1f} s to train")
    row = {"recipe": recipe, "seed": seed, "fooling": fooling, "training": training}
    return row | {"seconds": fooling + training}
