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
from benchmarks.contests.guarding.holding import figures
from deceive.auditing import AuditSettings
from deceive.common import markdown
from deceive.common.errors import InputError
from deceive.data.dataset import Split
from deceive.data.opening import open_data
from deceive.data.source import MNIST
from deceive.guarding import GuardSettings, guard
from deceive.networks.classifier import Classifier
from deceive.training.fit import fit
from deceive.training.settings import TrainingSettings

GARMENTS, COLOUR = "garments", "colour"
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
    resnet: str | None = None
    """Weights that `python -m benchmarks.colour` has made; by default the ResNet is trained."""
    guards: str | None = None
    """A folder of guards, to use those in it and to keep new ones; by default none is kept."""
    seeds: int = 1
    """Trainings of classifier and guard, with seeds counted from 0."""
    rounds: int = GuardSettings().rounds
    """Rounds in which a guard is trained."""
    epochs: float = 6
    """Passes over the images in which the network of garments is trained."""
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
    """All kinds of images with all seeds; those among the earlier rows are kept."""
    result: Row = {"facts": facts(), "plan": asdict(plan), "rows": (earlier or {}).get("rows", [])}
    for seed in range(plan.seeds):
        for name in plan.images:
            if any((row["name"], row["seed"]) == (name, seed) for row in result["rows"]):
                continue
            with tempfile.TemporaryDirectory() as folder:
                result["rows"].append(_held(name, seed, plan, Path(folder)))
            print(f"textures: {result['rows'][-1]}", file=sys.stderr)
            yield result
    yield result


def _held(name: str, seed: int, plan: Plan, folder: Path) -> Row:
    """All figures of one kind of images."""
    if name not in _MAKERS:
        raise InputError(f"images: expected {' or '.join(_MAKERS)}, got {name!r}")
    place = plan.garments if name == GARMENTS else plan.colour
    spec = _MAKERS[name](place, seed, plan, folder)
    settings = AuditSettings(
        candidates=plan.candidates,
        steps=plan.steps,
        ways=("momentum", "sign"),
        curve_candidates=0,
        real_images=plan.real_images,
        garbage_images=plan.garbage_images,
        searched=plan.searched,
        every_search=True,
        seed=seed,
    )
    started = time.perf_counter()
    report = guard(
        spec,
        place,
        out=folder / "guarded",
        settings=GuardSettings(rounds=plan.rounds, seed=seed),
        guards=plan.guards or folder / "guards",
        auditing=settings,
        other_data=MNIST.folder() if name == GARMENTS else None,
        budget=None,
        onnx=False,
    )
    assert report.before is not None
    assert report.after is not None
    judges = [each.accuracy for each in report.after.judges]
    return {
        "name": name,
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 1),
        "guard_seconds": report.card.guard.seconds,
        "judges": judges,
        "set": report.card.set.model_dump(),
        "before": figures(report.before),
        "behind": figures(report.after),
    }


def _convolutional(place: str, seed: int, plan: Plan, folder: Path) -> str:
    """A convolutional network, trained on slightly moved images."""
    split = _training_images(place)
    mean, std = (round(each.item(), 4) for each in (split.images.mean(), split.images.std()))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Classifier("fast", mean=mean, std=std)
    settings = TrainingSettings(
        epochs=plan.epochs, rotation=5, scaling=0.1, translation=2, elasticity=0
    )
    fit(network, split.images, split.labels, settings, seed=seed)
    return _stored(network, folder, __name__, "convolutional")


def convolutional(path: str) -> nn.Module:
    """It, with the weights in a file."""
    network = Classifier("fast")
    network.load_state_dict(load_file(path))
    return network.eval()


def _residual(place: str, seed: int, plan: Plan, folder: Path) -> str:
    """A small ResNet."""
    if plan.resnet is not None:
        return _code(folder, "benchmarks.colour", "resnet", Path(plan.resnet).resolve())
    split = _training_images(place)
    network = trained(split, int(split.labels.max()) + 1, epochs=RECIPE.epochs, seed=seed)
    return _stored(network, folder, "benchmarks.colour", "resnet")


_MAKERS: dict[str, Callable[[str, int, Plan, Path], str]] = {
    GARMENTS: _convolutional,
    COLOUR: _residual,
}


def _training_images(place: str) -> Split:
    train = open_data(place).train
    assert train is not None
    return Split(train.read(slice(None)), train.labels)


def _stored(network: nn.Module, folder: Path, module: str, factory: str) -> str:
    weights = folder / "reader.safetensors"
    save_file({name: each.contiguous() for name, each in network.state_dict().items()}, weights)
    return _code(folder, module, factory, weights)


def _code(folder: Path, module: str, factory: str, weights: Path) -> str:
    """Code that makes a network with these weights: path/to/file.py:factory."""
    code = folder / "reader.py"
    code.write_text(
        f"from {module} import {factory}\n\n\ndef make():\n    return {factory}({str(weights)!r})\n"
    )
    return f"{code}:make"


def table(result: Row) -> str:
    """Every kind of images before and behind its guard."""
    lines = [
        (row["name"] if side == "before" else "", str(row["seed"]), side, *_cells(row[side]))
        for row in result["rows"]
        for side in ("before", "behind")
    ]
    return "\n\n".join(
        [
            "## Guards of other images\n\nTrained by `deceive guard` for the images, in front of a "
            "classifier of them. Gibberish at the network's own threshold, which 95% of the real "
            "images that it reads correctly reach: that of the worse of two attacks, "
            f"{result['plan']['candidates']} candidates from each kind of start.",
            in_words(result["facts"]),
            markdown.table(("images", "seed", "", *_COLUMNS), lines),
        ]
    )


def _rate(figures: Row, *starts: str) -> float | None:
    rates = [rate for start in starts if (rate := figures["gibberish_at_own"][start]) is not None]
    return sum(rates) / len(rates) if rates else None


_COLUMNS: dict[str, Callable[[Row], float | None]] = {
    "reads": lambda found: found["accuracy"],
    "own threshold": lambda found: found["own_threshold"],
    **{f"gibberish from {start}": lambda found, s=start: _rate(found, s) for start in _NOISE},  # type: ignore[misc]
    "from these five": lambda found: _rate(found, *_NOISE),
    "from another real image": lambda found: _rate(found, "real"),
    "by search": lambda found: _rate(found, "search"),
    "least AUROC of garbage": lambda found: min(
        value for kind, value in found["auroc"].items() if kind != "other data"
    ),
    "AUROC of other data": lambda found: found["auroc"].get("other data"),
}


def _cells(found: Row) -> list[str]:
    values = {name: figure(found) for name, figure in _COLUMNS.items()}
    return [
        "–" if value is None else f"{value:.4f}" if "AUROC" in name else f"{value:.1%}"
        for name, value in values.items()
    ]
