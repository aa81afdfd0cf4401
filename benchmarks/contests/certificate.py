"""What is proved of detectors, beside what attacks find: garbage, Fashion-MNIST, three seeds.

Each detector is trained anew, or read from a folder of earlier ones. Garbage is what the audit
shows a model, with a seed that no training has seen; `gaussian`, `squares` and `constant` are kinds
no detector was trained on. The attack climbs a detector's log-odds by sign steps within the ball,
from its corners and from random points.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from benchmarks.contest import Row, facts, in_words
from benchmarks.spread import over_seeds
from deceive.auditing.garbage import GARBAGE, GarbageImages
from deceive.certifying.core import certify, log_odds
from deceive.certifying.training import PASSING, train_detector
from deceive.cli.screen import log
from deceive.common import markdown
from deceive.data.dataset import Dataset
from deceive.data.loading import load_data
from deceive.judging.scores import auroc
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded
from deceive.networks.inference import accuracy, logits_of, probabilities_of
from deceive.storage.models import load_card, load_network

EPSILONS = (0.1, 0.2, 0.3, 0.4)
MAIN = 0.3
"""The distance of the goals, and of the published figures."""

SURE = math.log(0.99 / 0.01)
"""The log-odds of a confidence of 0.99."""

# A seed of the garbage that nothing else uses.
_UNSEEN = 20_000

# Networks behind the first detector: a guard, and a reader that was not trained with it.
GUARD, READER = "resist", "fast"


@dataclass(frozen=True)
class Plan:
    """The size of the contest."""

    seeds: int = 3
    """Detectors, with the seeds 0, 1, …"""
    detectors: str = ""
    """A folder with detector-0.safetensors and so on; by default they are trained."""
    garbage: int = 10_000
    """Images of all kinds together."""
    attacked: int = 200
    """Images of each kind to attack, and of Fashion-MNIST."""
    steps: int = 40
    """Steps from each of three starts."""
    other: int = 10_000
    """Test images of Fashion-MNIST."""
    other_data: str = "/usr/share/datasets/fashion-mnist"
    """A folder with Fashion-MNIST; Debian's package dataset-fashion-mnist puts it there."""
    whole: int = 10_000
    """Images of garbage for which a whole guarded network is bounded too."""
    test: int = 10_000
    """Real test images."""


QUICK = Plan(
    seeds=1, detectors="models", garbage=60, attacked=5, steps=5, other=20, whole=12, test=300
)


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """Measure each detector, and what the first one makes of a guarded network."""
    data = load_data()
    others = {"fashion": load_data(plan.other_data).test} if Path(plan.other_data).is_dir() else {}
    each = math.ceil(plan.garbage / len(GARBAGE))
    garbage = {
        kind: GarbageImages(kind, each, data.test, _UNSEEN).read(slice(each)) for kind in GARBAGE
    }
    out = garbage | {name: split.images[: plan.other].float() for name, split in others.items()}
    kept = {"rows": [], "whole": None} if earlier is None else earlier
    result: Row = kept | {"facts": facts(), "plan": asdict(plan)}
    for seed in range(len(result["rows"]), plan.seeds):
        detector, row = _detector(plan, data, seed)
        real = _odds(detector, data.test.images[: plan.test].float())
        row["passing"] = (real >= PASSING).double().mean().item()
        row["kinds"] = {
            kind: _measured(detector, images, real, plan) for kind, images in out.items()
        }
        result["rows"].append(row)
        said = ", ".join(f"{kind} {found['proved'][2]:.2%}" for kind, found in row["kinds"].items())
        log.print(f"seed {seed}: {row['passing']:.2%} pass; proved within {MAIN}: {said}")
        yield result
        if result["whole"] is None and seed == 0:
            result["whole"] = _whole(detector, data, garbage, plan)
            log.print(f"{GUARD}, {READER} and the detector: {result['whole']}")
            yield result


def table(result: Row) -> str:
    """The section of the table of benchmarks, from the rows alone."""
    rows, plan = result["rows"], result["plan"]
    kinds = rows[0]["kinds"]
    shares = [f"proved {each}" for each in (0.1, MAIN, 0.4)]
    fields = (*shares[:2], "held", shares[2], "auc", "attacked_auc", "guaranteed_auc")
    lines = []
    for kind in kinds:
        found = []
        for row in rows:
            here = row["kinds"][kind]
            named = {f"proved {each}": here["proved"][n] for n, each in enumerate(EPSILONS)}
            found.append({field: _down((here | named)[field]) for field in fields})
        lines.append((kind, *(over_seeds(found, field, percent=True) for field in fields)))
    heads = (
        "garbage",
        "proved, ε = 0.1",
        f"proved, ε = {MAIN}",
        f"attack fails, ε = {MAIN}",
        "proved, ε = 0.4",
        "AUC",
        "attacked AUC",
        "guaranteed AUC",
    )
    whole = result["whole"]
    real = over_seeds(rows, "passing", percent=True)
    seconds = over_seeds(rows, "seconds")
    images = {kind: found["images"] for kind, found in kinds.items()}
    return "\n\n".join(
        (
            "## Certificate\n\nThe share of garbage for which it is proved that no image within ε "
            f"gets a confidence of 0.99, and the share for which an attack finds none; the AUCs "
            f"tell {plan['test']:,} test digits from garbage by the detector’s log-odds, as they "
            f"are, attacked, and at their upper bounds (ε = {MAIN}). Rounded down; {len(rows)} "
            f"seeds: median (least–greatest). {next(iter(images.values())):,} images of each kind; "
            f"attacks on {plan['attacked']} of each, {plan['steps']} steps from each of three "
            f"starts. {real} of the test digits pass; {seconds} s to train.",
            in_words(result["facts"]),
            markdown.table(heads, lines),
            ""
            if whole is None
            else f"`{GUARD}` with `{READER}` behind it and the detector of seed 0: reads "
            f"{whole['accuracy']:.2%}, is at least 0.99 sure of {whole['sure']:.2%} of the test "
            f"digits; without the detector {whole['accuracy_without']:.2%} and "
            f"{whole['sure_without']:.2%}. Proved to be below 0.99 within ε = {MAIN}: "
            f"{whole['proved']:.2%} of {whole['images']:,} images of garbage, without the detector "
            f"{whole['proved_without']:.2%} of some 200 of them.",
        )
    )


def _down(share: float) -> float:
    """A share, rounded down to hundredths of a per cent; AUCs have float32's rounding."""
    return math.floor(round(share * 10_000, 2)) / 10_000


def _detector(plan: Plan, data: Dataset, seed: int) -> tuple[Classifier, Row]:
    if not plan.detectors:
        detector, card = train_detector(data, seed=seed)
        return detector, {"seed": seed, "seconds": card.seconds}
    path = Path(plan.detectors, f"detector-{seed}.safetensors")
    path = path if path.is_file() else Path(plan.detectors, "detector.safetensors")
    found = load_network(path)
    assert isinstance(found, Classifier)
    return found, {"seed": seed, "seconds": load_card(path).seconds}


def _odds(detector: Classifier, images: Tensor) -> Tensor:
    logits = logits_of(detector, images).double()
    return logits[:, 0] - logits[:, 1]


def _measured(detector: Classifier, images: Tensor, real: Tensor, plan: Plan) -> Row:
    """What is proved of a kind of garbage, and what an attack finds."""
    bounds = [log_odds(detector, images, epsilon).upper for epsilon in EPSILONS]
    found = climbed(detector, images[: plan.attacked], MAIN, plan.steps)
    bound = bounds[EPSILONS.index(MAIN)]
    if (found > bound[: len(found)]).any():
        raise RuntimeError("an attack found more than the bound allows: the bound is wrong")
    return {
        "images": len(images),
        "proved": [(each < SURE).double().mean().item() for each in bounds],
        "held": (found < SURE).double().mean().item(),
        "auc": auroc(real, _odds(detector, images)),
        "attacked_auc": auroc(real, found),
        "guaranteed_auc": auroc(real, bound),
    }


def climbed(detector: Classifier, images: Tensor, epsilon: float, steps: int) -> Tensor:
    """The greatest log-odds (N,) that an attack reaches within `epsilon` of the images."""
    generator = Generator().manual_seed(0)
    low, high = (images - epsilon).clamp(0, 1), (images + epsilon).clamp(0, 1)
    starts = [torch.rand(images.shape, generator=generator) for _ in range(2)]
    starts[1] = starts[1].round()  # a corner of the ball
    best = _odds(detector, images)
    for start in (*starts, torch.full_like(images, 0.5)):
        x = low + start * (high - low)
        for step in range(steps):
            x = x.detach().requires_grad_(True)
            logits = detector(x)
            (gradient,) = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), x)
            x = x.detach() + 2 * epsilon * (1 - step / steps) ** 2 * gradient.sign()
            x = torch.minimum(torch.maximum(x, low), high)
            best = torch.maximum(best, _odds(detector, x))
    return best


def _whole(detector: Classifier, data: Dataset, garbage: dict[str, Tensor], plan: Plan) -> Row:
    """A guarded network with the detector, and without."""
    guard, reader = load_network(GUARD), load_network(READER)
    images, labels = data.test.images[: plan.test].float(), data.test.labels[: plan.test]
    shown = torch.cat([each[: plan.whole // len(garbage)] for each in garbage.values()])
    found: Row = {"images": len(shown)}
    for name, within in (("", detector), ("_without", None)):
        network = Guarded(guard, [reader], detector=within).eval()
        classes = probabilities_of(network, images)[:, :-1]
        found[f"accuracy{name}"] = (classes.argmax(1) == labels).double().mean().item()
        sure = classes.gather(1, labels[:, None])[:, 0] >= 0.99
        found[f"sure{name}"] = sure.double().mean().item()
        few = shown if within else shown[:: max(1, len(shown) // 200)]
        found[f"proved{name}"] = certify(network, few, MAIN).share
    return found | {"reader": accuracy(reader, images, labels)}
