"""What deceives each of three networks: one plain command, from the same starts.

`deceive fool --model NETWORK --target all --count 20`, with its defaults: uniform noise, no
schedule, no noise on the way. Three judges, none of them among the networks, say what the images
show.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from rich.console import Console
from torch import Tensor

from benchmarks.contest import Row, facts, in_words
from benchmarks.pictures import stripped
from benchmarks.spread import over_seeds, significant
from deceive.auditing.judges import majority
from deceive.common import markdown
from deceive.common.levels import to_levels
from deceive.data.loading import Dataset, load_data
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult
from deceive.fooling.starts import begin
from deceive.judging.likeness import features_of, frechet_between
from deceive.judging.measures import agreement
from deceive.networks.classifier import Classifier
from deceive.networks.inference import logits_of
from deceive.storage.models import load_card, load_network

console = Console(stderr=True)

# The networks, and what each was trained for.
NETWORKS = {
    "fast": "trained to read",
    "draw": "… and to draw",
    "resist": "… and to resist",
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
            console.print(f"{name}, seed {seed}: {row['fooled']} of {row['candidates']}")
    yield result


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    by_network = defaultdict(list)
    for row in result["rows"]:
        by_network[row["network"]].append(row)
    lines = [
        (
            f"`{name}`",
            ", ".join(str(row["fooled"]) for row in rows),
            over_seeds(rows, "median_steps"),
            over_seeds(rows, "judge_agreement", percent=True),
            over_seeds(rows, "seen_by_most", percent=True),
            over_seeds(rows, "frechet_distance"),
        )
        for name, rows in by_network.items()
    ]
    real = significant(result["floor_frechet_distance"])
    lines.append(("real training images", "", "", "", "", real))
    plan, judges = result["plan"], result["judges"]
    heads = (
        "",
        f"fooled, of {result['rows'][0]['candidates']}, seed by seed",
        "median steps",
        f"`{judges[0]}` sees the target",
        "most judges see it",
        "Fréchet distance",
    )
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
