"""Guards of other images than digits: trained by `deceive guard`, and audited before and behind.

A convolutional network of garments (Fashion-MNIST) and a ResNet of pictures in colour (CIFAR-10).
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.colour import RECIPE, trained
from benchmarks.contest import Row, facts, in_words
from benchmarks.contests.guarding.holding import auditing, figures
from deceive.auditing import Interface, Scaling, audit
from deceive.common import checks, markdown, processes
from deceive.data.dataset import Split
from deceive.data.opening import open_data
from deceive.data.source import MNIST
from deceive.guarding import GuardSettings, guard, load_guarded
from deceive.networks.classifier import Classifier
from deceive.training.fit import fit
from deceive.training.settings import TrainingSettings

GARMENTS, COLOUR = "garments", "colour"

# Fields of the plan that say where something is, and change no figure.
_PLACES = ("garments", "colour", "kept")

_NOISE = ("uniform", "gaussian", "smooth", "blank", "squares")


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    images: tuple[str, ...] = (GARMENTS, COLOUR)
    """Kinds of images."""
    garments: str = "/usr/share/datasets/fashion-mnist"
    """Data of the garments; by default Debian's package dataset-fashion-mnist."""
    colour: str = "data/cifar-10"
    """Data of the pictures in colour."""
    kept: str | None = None
    """A folder in which classifiers, judges and guards are kept and looked for; by default they are
    trained and thrown away. `colour-0.safetensors` is what `python -m benchmarks.colour` makes."""
    seeds: int = 1
    """Trainings of classifier and guard, with seeds counted from 0; in colour of the guard."""
    rounds: int | None = None
    """Rounds in which a guard is trained; by default as many as `deceive guard` takes."""
    epochs: float = 6
    """Passes over the images in which the network of garments is trained; its judge takes four."""
    candidates: int = 20
    """Candidates of each kind of start and attack."""
    steps: int = 200
    """The most steps of an attack."""
    searched: int = 20
    """Candidates of each search."""
    real_images: int = 10_000
    """Real images that the audits read, of each split."""
    garbage_images: int = 1000
    """Images of each kind of garbage."""


QUICK = Plan(
    images=(GARMENTS,),
    rounds=2,
    epochs=0.1,
    candidates=2,
    steps=3,
    searched=2,
    real_images=200,
    garbage_images=20,
)


def run(plan: Plan, earlier: Row | None = None) -> Iterator[Row]:
    """All kinds of images with all seeds; those among the earlier rows are kept.

    Each row has its own plan.
    """
    sizes = {name: value for name, value in asdict(plan).items() if name not in _PLACES}
    result: Row = {"facts": facts(), "plan": sizes, "rows": (earlier or {}).get("rows", [])}
    for seed in range(plan.seeds):
        for name in plan.images:
            if any((row["name"], row["seed"]) == (name, seed) for row in result["rows"]):
                continue
            with tempfile.TemporaryDirectory() as folder:
                result["rows"].append(_held(name, seed, plan, Path(folder)) | {"plan": sizes})
            print(f"textures: {result['rows'][-1]}", file=sys.stderr)
            yield result
    yield result


def _held(name: str, seed: int, plan: Plan, folder: Path) -> Row:
    """All figures of one kind of images."""
    checks.one_of("images", name, (GARMENTS, COLOUR))
    place = plan.garments if name == GARMENTS else plan.colour
    kept = folder if plan.kept is None else Path(plan.kept)
    readers = [
        _kept(kept / f"{each}.safetensors", place, plan, folder) for each in _names(name, seed)
    ]
    started, judges_of = time.perf_counter(), readers[1:] or "auto"
    report = guard(
        readers[0],
        place,
        out=folder / "guarded",
        settings=GuardSettings(rounds=plan.rounds, seed=seed),
        guards=kept / "guards",
        auditing=auditing(plan, seed),
        judge=judges_of,
        other_data=MNIST.folder() if name == GARMENTS else None,
        budget=None,
        onnx=False,
    )
    assert report.before is not None
    assert report.after is not None
    judges = [each.accuracy for each in report.after.judges]
    passing = audit(
        load_guarded(report.folder),
        place,
        interface=Interface(scaling=Scaling(), rubbish_class=len(report.card.class_names)),
        settings=auditing(plan, seed).model_copy(
            update={"confidence": report.card.set.threshold, "garbage_images": 10}
        ),
        out=folder / "passing",
        judge=judges_of,
        budget=None,
    )
    return {
        "name": name,
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 1),
        "guard_seconds": report.card.guard.seconds,
        "judges": judges,
        "set": report.card.set.model_dump(),
        "before": figures(report.before),
        "behind": figures(report.after),
        "passing": _at_threshold(report.card.set.threshold, figures(passing)),
    }


def _at_threshold(threshold: float, found: Row) -> Row:
    """The figures of a guarded classifier, at the threshold at which it lets images pass."""
    return found | {
        "own_threshold": threshold,
        "own_reached": found["sure"],
        "gibberish_at_own": found["gibberish"],
        "auroc": {},
    }


def _names(name: str, seed: int) -> list[str]:
    """Names of the weights of the classifier and of its judge, if it isn't the audit's own.

    In colour all seeds share a classifier, whose training takes longest.
    """
    return [f"{name}-{seed}", f"{name}-judge-{seed}"] if name == GARMENTS else [f"{name}-0"]


def _kept(weights: Path, place: str, plan: Plan, folder: Path) -> str:
    """Where `deceive guard` finds a classifier, which is trained if there are no such weights."""
    name, *judge, seed = weights.stem.split("-")
    factory = "resnet" if name == COLOUR else "judge" if judge else "reader"
    if not weights.is_file():
        weights.parent.mkdir(parents=True, exist_ok=True)
        train = open_data(place).train
        assert train is not None
        split = Split(train.read(slice(None)), train.labels)
        if name == COLOUR:
            network = trained(split, int(split.labels.max()) + 1, RECIPE.epochs, int(seed))
        else:
            network = _of_garments(factory, split, plan, int(seed))
        state = {key: value.contiguous() for key, value in network.state_dict().items()}
        save_file(state, weights)
    module = "benchmarks.colour" if name == COLOUR else __name__
    code = folder / f"{factory}.py"
    code.write_text(
        f"from {module} import {factory}\n\n\n"
        f"def make():\n    return {factory}({str(weights.resolve())!r})\n"
    )
    return f"{code}:make"


def _of_garments(factory: str, split: Split, plan: Plan, seed: int) -> nn.Module:
    """A convolutional network, trained on slightly moved images; none has the guard's seed."""
    own, epochs = (seed + 2, min(4, plan.epochs)) if factory == "judge" else (seed + 1, plan.epochs)
    mean, std = (round(each.item(), 4) for each in (split.images.mean(), split.images.std()))
    with processes.seeded(own, torch.device("cpu")):
        network = Classifier(_ARCHITECTURES[factory], mean=mean, std=std)
    settings = TrainingSettings(epochs=epochs, rotation=5, scaling=0.1, translation=2, elasticity=0)
    fit(network, split.images, split.labels, settings, seed=own)
    return network


# `reader` is the smaller one.
_ARCHITECTURES = {"reader": "fast", "judge": "reader"}


def reader(path: str) -> nn.Module:
    """The classifier of garments, with the weights in a file."""
    return _again("reader", path)


def judge(path: str) -> nn.Module:
    """Its judge."""
    return _again("judge", path)


def _again(factory: str, path: str) -> nn.Module:
    network = Classifier(_ARCHITECTURES[factory])
    network.load_state_dict(load_file(path))
    return network.eval()


def table(result: Row) -> str:
    """Every kind of images before and behind its guard."""
    lines = [
        (
            row["name"] if side == "before" else "",
            str(row["seed"]),
            words,
            str(row["plan"]["candidates"]),
            *_cells(row[side]),
        )
        for row in result["rows"]
        for side, words in _SIDES.items()
        if side in row
    ]
    return "\n\n".join(
        [
            "## Guards of other images\n\nTrained by `deceive guard` for the images, in front of a "
            "classifier of them. Gibberish at the network's own threshold, which 95% of the real "
            "images that it reads correctly reach (and takes for no rubbish), and at the lower one "
            "at which the guard lets 95% of all real images pass: that of the worse of two "
            "attacks, so many candidates from each kind of start.",
            in_words(result["facts"]),
            markdown.table(("images", "seed", "", "candidates", *_COLUMNS), lines),
        ]
    )


def _rate(figures: Row, *starts: str) -> float | None:
    rates = [rate for start in starts if (rate := figures["gibberish_at_own"][start]) is not None]
    return sum(rates) / len(rates) if rates else None


# The sides of a row, in words.
_SIDES = {"before": "before", "behind": "behind", "passing": "behind, where images pass"}

_COLUMNS: dict[str, Callable[[Row], float | None]] = {
    "reads": lambda found: found["accuracy"],
    "threshold": lambda found: found["own_threshold"],
    "real images that reach it": lambda found: found.get("own_reached"),
    **{f"gibberish from {start}": lambda found, s=start: _rate(found, s) for start in _NOISE},  # type: ignore[misc]
    "from these five": lambda found: _rate(found, *_NOISE),
    "from another real image": lambda found: _rate(found, "real"),
    "by search": lambda found: _rate(found, "search"),
    "least AUROC of garbage": lambda found: min(
        (value for kind, value in found["auroc"].items() if kind != "other data"), default=None
    ),
    "AUROC of other data": lambda found: found["auroc"].get("other data"),
}


def _cells(found: Row) -> list[str]:
    values = {name: figure(found) for name, figure in _COLUMNS.items()}
    return [
        "–" if value is None else f"{value:.4f}" if "AUROC" in name else f"{value:.1%}"
        for name, value in values.items()
    ]
