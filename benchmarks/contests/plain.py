"""What deceives each of four networks: one plain command, from the same starts.

`deceive fool --model NETWORK --target all --count 20`, with its defaults: uniform noise, no
schedule, no noise on the way. Three judges, none of them among the networks, say what the images
show.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from benchmarks.contest import Row, facts, in_words
from benchmarks.pictures import stripped
from benchmarks.spread import Measure, cells, grouped, significant, titles
from deceive.auditing.judges import majority
from deceive.cli.screen import log
from deceive.common import markdown
from deceive.common.levels import to_levels
from deceive.data.dataset import Dataset
from deceive.data.loading import load_data
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult
from deceive.fooling.starts import begin
from deceive.judging.likeness import features_of, frechet_between
from deceive.judging.measures import agreement
from deceive.networks.classifier import Classifier
from deceive.networks.inference import logits_of
from deceive.storage.models import load_card, load_network

# The networks, and what each was trained for.
NETWORKS = {
    "fast": "trained to read",
    "draw": "trained to draw",
    "resist": "trained to resist",
    "one": "trained for both",
}

DIGITS = 10

# The first one also provides the features, and is the default judge of `deceive fool`.
JUDGES = ("judge", "study", "judge-in-noise")


@dataclass(frozen=True)
class Plan:
    """The size of the contest."""

    networks: tuple[str, ...] = tuple(NETWORKS)
    repeats: int = 3
    """Seeds, counted from 0."""
    count: int = 20
    """Candidates for each digit."""
    reference: int = 10_000
    """Number of test images to compare with, from the first."""


QUICK = Plan(networks=("fast",), repeats=1, count=2, reference=300)


def run(plan: Plan) -> Iterator[Row]:
    """Deceive each network from the same starts, and have the images judged."""
    data, judges = load_data(), [load_network(name) for name in JUDGES]
    reference = features_of(judges[0], data.test.images[: plan.reference])
    network, numbers = load_network(plan.networks[0]), range(0, DIGITS * plan.count, plan.count)
    starts = to_levels(begin("uniform", numbers, network.image_shape, 0))
    result: Row = {"facts": facts(), "plan": asdict(plan), "judges": JUDGES, "rows": []}
    result |= {
        "weights_sha256": {name: load_card(name).weights_sha256 for name in plan.networks},
        "starts": stripped(starts.numpy()),
        "floor_frechet_distance": frechet_between(
            features_of(judges[0], _real(data, plan.count)), reference
        ),
    }
    for name in plan.networks:
        network = load_network(name)
        for seed in range(plan.repeats):
            made = fool(network, range(DIGITS), count=plan.count, seed=seed)
            row = {"network": name, "made_for": NETWORKS[name], "seed": seed}
            row |= judged(made, judges, reference)
            if seed == 0:
                row["shown"] = shown(made, judges, plan.count)
            result["rows"].append(row)
            log.print(f"{name}, seed {seed}: {row['fooled']} of {row['candidates']}")
    yield result


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    plan, judges = result["plan"], result["judges"]
    measures = (
        Measure("median steps", "median_steps"),
        Measure(f"`{judges[0]}` sees the target", "judge_agreement", percent=True),
        Measure("most judges see it", "seen_by_most", percent=True),
        Measure("Fréchet distance", "frechet_distance"),
    )
    lines = [
        (f"`{name}`", ", ".join(str(row["fooled"]) for row in rows), *cells(rows, measures))
        for name, rows in grouped(result["rows"], "network").items()
    ]
    real = significant(result["floor_frechet_distance"])
    lines.append(("real training images", "", "", "", "", real))
    fooled = f"fooled, of {result['rows'][0]['candidates']}, seed by seed"
    heads = ("", fooled, *titles(measures))
    return "\n\n".join(
        (
            "## Plain\n\n`deceive fool --model NETWORK --target all --count "
            f"{plan['count']}`, the same starts for each; median of {plan['repeats']} seeds "
            f"(least–greatest). The judges are {', '.join(f'`{name}`' for name in judges)}; the "
            f"distance, by the features of `{judges[0]}`, is to the test images.",
            in_words(result["facts"]),
            markdown.table(heads, lines),
        )
    )


def judged(made: FoolingResult, judges: Sequence[Classifier], reference: Tensor) -> Row:
    """How many candidates fool the network, and what the judges see in all of them.

    The Fréchet distance to the reference uses the first judge's features. Compare it only between
    equal numbers of images.
    """
    return {
        "candidates": len(made),
        "fooled": int(made.fooled.sum()),
        "median_steps": made.median_steps,
        "judge_agreement": agreement(judges[0], made.images, made.targets),
        "seen_by_most": (_seen(made.images, judges) == made.targets).double().mean().item(),
        "frechet_distance": frechet_between(features_of(judges[0], made.images), reference),
    }


def shown(made: FoolingResult, judges: Sequence[Classifier], count: int) -> Row:
    """The first candidate of each digit."""
    first = list(range(0, len(made), count))  # sorted by digit
    return {
        "png": stripped(made.levels[first].numpy()),
        "targets": made.targets[first].tolist(),
        "fooled": made.fooled[first].tolist(),
        "judged": _seen(made.images[first], judges).tolist(),
    }


def _seen(images: Tensor, judges: Sequence[Classifier]) -> Tensor:
    """The digit that a majority of judges sees, ignoring rubbish."""
    return majority([logits_of(each, images)[:, :DIGITS].argmax(1) for each in judges])


def _real(data: Dataset, count: int) -> Tensor:
    """`count` training images of each class."""
    labels = data.train.labels
    each = [(labels == k).nonzero()[:count, 0] for k in range(DIGITS)]
    return data.train.images[torch.cat(each)]
