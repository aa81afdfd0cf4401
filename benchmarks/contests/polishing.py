"""What polishing and drawing again buy, and at what price: one thing at a time is changed.

Judged on training and validation images, since it is for choosing. The Fréchet distance is that
from training images: validation images, which others wrote, lie further from these than drawn ones
do, and would reward what is merely cleaner.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.contest import Row, facts, in_words
from benchmarks.spread import Measure, cells, grouped, significant, titles
from deceive.cli.screen import log
from deceive.common import markdown
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, Split
from deceive.data.loading import load_data
from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import ACCEPTED, POLISH, draw
from deceive.judging.likeness import density_and_coverage, features_of, frechet_between, nearest
from deceive.judging.measures import agreement
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_card, load_network

# Images are drawn with these seeds, one for each repeat; no reported figure is of them.
TRIED = 77

AS_IT_IS = "as it is"

# Changes of `POLISH`, in an inner dictionary, and of other arguments of `draw`.
VARIANTS: dict[str, dict[str, Any]] = {
    AS_IT_IS: {},
    "neither polished nor drawn again": {"polish": None, "accepted": None},
    "not polished": {"polish": None},
    "not drawn again": {"accepted": None},
    "accepted from 0.40": {"accepted": 0.40},
    "accepted from 0.45": {"accepted": 0.45},
    "accepted from 0.55": {"accepted": 0.55},
    "5 steps, twice as large": {"polish": {"schedule": {"steps": 5}, "step_size": 0.005}},
    "20 steps, half as large": {"polish": {"schedule": {"steps": 20}, "step_size": 0.00125}},
    "steps three quarters as large": {"polish": {"step_size": 0.001875}},
    "steps half as large": {"polish": {"step_size": 0.00125}},
    "steps twice as large": {"polish": {"step_size": 0.005}},
    "noise from 0.5": {"polish": {"noise": 0.5}},
    "noise from 1": {"polish": {"noise": 1}},
    "noise of 0.8 throughout": {"polish": {"schedule": {"least_noise": 0.8}}},
    "noise of 0.8 throughout, steps twice as large": {
        "polish": {"schedule": {"least_noise": 0.8}, "step_size": 0.005}
    },
    "by the sign of the gradient": {"polish": {"rule": "sign"}},
}


@dataclass(frozen=True)
class Plan:
    """How large it is."""

    model: str = "draw"
    """The network to draw with: a shipped name or a file."""
    repeats: int = 3
    """Seeds to draw with."""
    count: int = 500
    """Images of each class that are drawn."""
    reference: int = 3000
    """Training images of each class that they are compared with."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    images: int | None = None
    """How many of the training and validation images to use, from the first; None for all."""


QUICK = Plan(repeats=1, count=3, reference=50, variants=(AS_IT_IS, "not polished"), images=1000)


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Draw in all ways with one seed, then with the next; yields the result after every one.

    Keeps the rows of an earlier result, which must have the same network and the same plan except
    for its repeats.
    """
    data, judge, network = load_data(), load_network("judge"), load_network(plan.model)
    digest = load_card(plan.model).weights_sha256
    result: Row = earlier or {"facts": facts(), "weights_sha256": digest, "rows": []}
    if result["weights_sha256"] != digest:
        raise InputError(f"polishing: expected rows of {plan.model} as it is, got another's")
    result |= {"plan": asdict(plan)}
    if plan.images is not None:
        some = slice(plan.images)
        validation = Split(data.validation.images[some], data.validation.labels[some])
        data = replace(data.first(plan.images), validation=validation)
    held = {(row["variant"], row["repeat"]) for row in result["rows"]}
    reference, others = _apart(data, plan.reference, plan.count)
    judged = _Judging(judge, data, features_of(judge, reference))
    result["floor"] = judged.measures(features_of(judge, others), data.validation.images)
    for repeat in range(plan.repeats):
        for variant in plan.variants:
            if (variant, repeat) in held:
                continue
            started = time.perf_counter()
            drawn = draw(
                network,
                range(data.n_classes),
                count=plan.count,
                seed=TRIED + repeat,
                **options(variant),
            )
            seconds = time.perf_counter() - started
            row = judged.measures(features_of(judge, drawn.images), drawn.images) | {
                "judge_agreement": agreement(judge, drawn.images, drawn.targets),
                "images_per_second": len(drawn) / seconds,
            }
            result["rows"].append({"variant": variant, "repeat": repeat} | row)
            log.print(
                f"{variant}, seed {TRIED + repeat}: Fréchet distance "
                f"{row['frechet_distance']:.3f}, density {row['density']:.3f}, coverage "
                f"{row['coverage']:.3f}"
            )
            yield result


class _Judging:
    """Measures: distance to training images; density and coverage of the validation images."""

    def __init__(self, judge: Classifier, data: Dataset, of_reference: Tensor) -> None:
        self.training, self.of_reference = data.train, of_reference
        self.of_validation = features_of(judge, data.validation.images)

    def measures(self, features: Tensor, images: Tensor) -> Row:
        """Of images with these features; the nearest training images are those of `images`."""
        density, coverage = density_and_coverage(self.of_validation, features)
        return {
            "frechet_distance": frechet_between(features, self.of_reference),
            "density": density,
            "coverage": coverage,
            "nearest_median": _nearest(images, self.training),
        }


MEASURES = (
    Measure("Fréchet distance", "frechet_distance"),
    Measure("density", "density"),
    Measure("coverage", "coverage"),
    Measure("nearest training image, median", "nearest_median"),
    Measure("judge agrees", "judge_agreement", percent=True),
    Measure("images a second", "images_per_second"),
)


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    plan, floor = result["plan"], result["floor"]
    lines = [
        (variant, *cells(rows, MEASURES))
        for variant, rows in grouped(result["rows"], "variant").items()
    ]
    real = [significant(floor[each.field]) if each.field in floor else "" for each in MEASURES]
    lines.append(("real images", *real))
    heads = ("", *titles(MEASURES))
    return "\n\n".join(
        (
            f"## Polishing\n\nNetwork `{plan['model']}` ({result['weights_sha256'][:12]}…), "
            f"{plan['count']:,} images of each class, drawn as `draw` does it but for one thing; "
            f"the distance from {plan['reference']:,} training images of each class, density and "
            "coverage against the validation images; median of drawing with "
            f"{plan['repeats']} seeds (least–greatest). Real images are other training images; "
            "under the nearest training image, the validation images.",
            in_words(result["facts"]),
            markdown.table(heads, lines),
        )
    )


def options(variant: str) -> dict[str, Any]:
    """The arguments of `draw` for that way."""
    told: dict[str, Any] = {"polish": {}, "accepted": ACCEPTED} | VARIANTS[variant]
    if told["polish"] is not None:
        told["polish"] = Ascent(**POLISH.settings_with(told["polish"]))
    return told


def _apart(data: Dataset, many: int, few: int) -> tuple[Tensor, Tensor]:
    """Many training images of each class, and a few others of each."""
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    labels = data.train.labels[order]
    by_class = [order[labels == k] for k in range(data.n_classes)]
    return (
        data.train.images[torch.cat([of[:many] for of in by_class])],
        data.train.images[torch.cat([of[many : many + few] for of in by_class])],
    )


def _nearest(images: Tensor, training: Split) -> float:
    """The median over every fifth image; all of them would take as long as drawing them."""
    return nearest(images[::5], training.images)[0].median().item()
