"""The command line: parse, call, print.

Exit codes: 0 done; 1 not every candidate was fooled; 2 bad input; 130 interrupted.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from deceive.errors import InputError

_log = Console(stderr=True)


@contextmanager
def _task(description: str) -> Iterator[Callable[[float, float], None]]:
    """A progress bar on stderr for as long as the block lasts."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_log) as progress:
        bar = progress.add_task(description)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


@dataclass(frozen=True)
class Train:
    """Train a classifier on clean digits, and write its weights and its card."""

    architecture: str = "fast"
    """fast, judge or study (the case study's own)."""
    out: Path = Path("network.safetensors")
    """Where the weights go; the card goes beside them."""
    epochs: float | None = None
    """Passes over the training images; by default the architecture's own recipe."""
    data: Path | None = None
    """A folder with MNIST's four files, or another set's of the same form."""
    seed: int = 0
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive import checks
        from deceive.data import load_data
        from deceive.models import save_network
        from deceive.recipes import RECIPES, train

        checks.one_of("architecture", self.architecture, sorted(RECIPES))
        settings = RECIPES[self.architecture]
        if self.epochs is not None:
            checks.open_interval("epochs", self.epochs, 0, 10_000)
            settings = settings.model_copy(update={"epochs": self.epochs})
        if self.out.suffix != ".safetensors":
            raise InputError(f"--out: expected a name that ends in .safetensors, got {self.out}")
        data = load_data(self.data)
        with _task(f"training {self.architecture}") as report:
            network, card = train(
                self.architecture,
                data,
                seed=self.seed,
                settings=settings,
                callback=lambda now: report(now.step, now.steps),
            )
        save_network(network, self.out, card)
        _show(
            f"{self.out}: {card.test_accuracy:.2%} of the test set "
            f"({card.validation_accuracy:.2%} of the validation set), {card.seconds:.0f} s",
            {"out": str(self.out)} | card.model_dump(),
            self.json,
        )
        return 0


@dataclass(frozen=True)
class Fool:
    """Optimise images until a network takes them for digits. Writes a PNG, or an .npz of arrays."""

    target: str = "all"
    """The class to be taken for, or all of them."""
    out: Path = Path("fooled.npz")
    """A .png (for one image) or an .npz with images, targets, confidence, steps, fooled."""
    model: str = "fast"
    """A shipped network, or a safetensors file."""
    count: int = 1
    """Images for each target."""
    confidence: float = 0.99
    """Softmax probability of the target to reach."""
    start: str = "uniform"
    """Where an image begins: uniform, gaussian, smooth or blank."""
    steps: int = 1000
    """The most steps an image may take."""
    judge: str = "judge"
    """A network that says what the images look like, if it was trained on the same data."""
    seed: int = 0
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.fooling import fool
        from deceive.measures import agreement
        from deceive.models import load_card, load_network

        network, card = load_network(self.model), load_card(self.model)
        n_classes = card.n_outputs - (card.rubbish_class is not None)
        targets = range(n_classes) if self.target == "all" else [_class(self.target)]
        single = len(targets) * self.count == 1
        if self.out.suffix not in (".npz", ".png") or (self.out.suffix == ".png" and not single):
            raise InputError(
                f"--out: expected an .npz, or a .png for one image, got {self.out} "
                f"for {len(targets) * self.count} images"
            )
        with _task(f"deceiving {self.model}") as report:
            result = fool(
                network,
                targets,
                count=self.count,
                confidence=self.confidence,
                start=self.start,
                steps=self.steps,
                seed=self.seed,
                callback=lambda now: report(now.finished, now.total),
            )
        summary: dict[str, Any] = {
            "out": str(self.out),
            "candidates": len(result),
            "fooling_rate": result.fooling_rate,
            "median_steps": result.median_steps,
        }
        if load_card(self.judge).data_checksum == card.data_checksum:
            judge = load_network(self.judge)
            summary["judge_agreement"] = agreement(judge, result.images, result.targets)
        if self.out.suffix == ".png":
            confidence = _write_and_reread(self.out, network, result.levels[0], targets[0])
            verdict = f"is a {targets[0]} with confidence {confidence:.4f}"
            text = f"{self.out}: read back, it {verdict}, {int(result.steps[0])} steps"
            summary["confidence"] = confidence
        else:
            from deceive.runs import arrays_of, write_arrays

            arrays = arrays_of(result)
            levels = arrays.pop("levels")
            write_arrays(
                self.out, images=levels[:, 0] if levels.shape[1] == 1 else levels, **arrays
            )
            text = (
                f"{self.out}: {int(result.fooled.sum())} of {len(result)} candidates fool "
                f"{self.model}, median steps {result.median_steps}"
            )
            if "judge_agreement" in summary:
                text += f"; the judge takes {summary['judge_agreement']:.1%} for their targets"
        _show(text, summary, self.json)
        return 0 if bool(result.fooled.all()) else 1


@dataclass(frozen=True)
class Study:
    """The whole case study: train, deceive, teach rubbish, deceive again. Resumes by itself."""

    out: Path = Path("runs/study")
    """The run folder."""
    network: str = "fast"
    """Architecture of the classifier: fast, judge or study."""
    judge: str = "judge"
    """Shipped network that says what the fooling images look like."""
    epochs: float | None = None
    """Passes over the training images, each of the three times; by default its own recipe's."""
    training_images: int = 55_000
    """The first so many of the training images."""
    candidates: int = 100
    """Candidates for each digit when a fooling rate is measured."""
    noise_images: int = 6000
    """Images of uniform noise that are taught as rubbish in parts 2 and 4."""
    fooling_images: int = 3000
    """Fooling images that are taught as rubbish in part 4."""
    confidence: float = 0.99
    steps: int = 1000
    """The most steps a candidate may take."""
    data: Path | None = None
    """A folder with MNIST's four files, or another set's of the same form."""
    seed: int = 0
    fresh: bool = False
    """Put an earlier run in the same folder aside, and start anew."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from pydantic import ValidationError

        from deceive.data import load_data
        from deceive.figures import study_pictures
        from deceive.report import write_report
        from deceive.runs import Run
        from deceive.study import StudySettings, study, summary

        names = set(StudySettings.model_fields)
        try:
            settings = StudySettings(**{k: v for k, v in vars(self).items() if k in names})
        except ValidationError as error:
            first = error.errors()[0]
            name = "--" + str(first["loc"][0]).replace("_", "-")
            raise InputError(f"{name}: {first['msg']}; got {first['input']!r}") from error
        if self.fresh and self.out.exists():
            number = next(n for n in range(1, 10_000) if not _aside(self.out, n).exists())
            self.out.rename(_aside(self.out, number))
        data = load_data(self.data)
        rows = []
        run = Run(self.out, settings.model_dump() | {"data_checksum": data.checksum})
        for row in study(data, run, settings, _task):
            rows.append(row)
            _log.print(" ", _in_words(row))
            study_pictures(run)
            page = write_report(run)
        _show(
            f"{page}: done in {rows[-1]['seconds']:.0f} s of work",
            summary(rows) | {"report": str(page)},
            self.json,
        )
        return 0


@dataclass(frozen=True)
class Report:
    """Draw a study's pictures and write its page again, from its folder, finished or not."""

    folder: tyro.conf.Positional[Path] = Path("runs/study")
    """The run folder."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.figures import study_pictures
        from deceive.report import missing_parts, write_report
        from deceive.runs import Run

        run = Run.open(self.folder)
        page = write_report(run)
        pictures = study_pictures(run)
        missing = missing_parts(run)
        _show(
            f"{page}: " + (f"still to come: {'; '.join(missing)}" if missing else "all four parts"),
            {"report": str(page), "pictures": [str(path) for path in pictures], "missing": missing},
            self.json,
        )
        return 0


@dataclass(frozen=True)
class Export:
    """Write a network as an ONNX graph, for programs without torch, with its input gradient too."""

    model: tyro.conf.Positional[str] = "fast"
    """A shipped network, or a safetensors file."""
    out: Path | None = None
    """Where the graph goes; by default the network's name with .onnx, in this folder."""
    gradient: bool = False
    """Write the gradient of the objective in the pixels too: (images, targets) in."""
    objective: str = "log_odds"
    """Whose gradient: log_odds, log_probability, logit or margin."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.export import export_onnx
        from deceive.models import load_network

        out = self.out or Path(f"{Path(self.model).stem}.onnx")
        if out.suffix != ".onnx":
            raise InputError(f"--out: expected a name that ends in .onnx, got {out}")
        network = load_network(self.model)
        export_onnx(network, out, gradient=self.gradient, objective=self.objective)
        size = out.stat().st_size
        takes, gives = (
            ("images, targets", "logits, gradient")
            if self.gradient
            else (
                "images",
                "logits",
            )
        )
        _show(
            f"{out}: ({takes}) to ({gives}), {size / 1e6:.2f} MB",
            {
                "out": str(out),
                "bytes": size,
                "gradient": self.gradient,
                "objective": self.objective if self.gradient else None,
            },
            self.json,
        )
        return 0


@dataclass(frozen=True)
class Page:
    """Build the page where it is not up to date, serve it on this machine alone, and open it."""

    port: int = 0
    """Where it is served on 127.0.0.1; 0 is any free port."""
    open: bool = True
    """Open it in the browser."""
    build_only: bool = False
    """Build web/dist, which any static host can serve, and stop there."""
    json: bool = False
    """Print one JSON object on stdout, as soon as the page is there."""

    def run(self) -> int:
        import webbrowser

        from deceive.page import build, server

        folder = build(lambda stage: _log.print(f"  {stage}", highlight=False))
        if self.build_only:
            _show(f"{folder}: built", {"folder": str(folder)}, self.json)
            return 0
        with server(folder, self.port) as serving:
            url = f"http://127.0.0.1:{serving.server_port}/"
            _show(f"{url} (Ctrl+C ends it)", {"folder": str(folder), "url": url}, self.json)
            sys.stdout.flush()
            if self.open:
                webbrowser.open(url)
            try:
                serving.serve_forever()
            except KeyboardInterrupt:
                return 0
        return 0


@dataclass(frozen=True)
class Info:
    """What is installed, and which networks are shipped."""

    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        import torch

        from deceive import __version__
        from deceive.inference import working_dtype
        from deceive.models import load_card, shipped_names

        cards = {name: load_card(name) for name in shipped_names()}
        table = Table("network", "outputs", "validation", "test", "made by")
        for name, card in cards.items():
            table.add_row(
                name,
                str(card.n_outputs),
                f"{card.validation_accuracy:.2%}",
                f"{card.test_accuracy:.2%}",
                card.command,
            )
        dtype = str(working_dtype(torch.device("cpu"))).removeprefix("torch.")
        screen = _log if self.json else Console()
        screen.print(f"deceive {__version__}, torch {torch.__version__}, works in {dtype}")
        screen.print(table)
        if self.json:
            shipped = {name: card.model_dump() for name, card in cards.items()}
            print(json.dumps({"deceive": __version__, "works_in": dtype, "networks": shipped}))
        return 0


Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Fool, tyro.conf.subcommand("fool")]
    | Annotated[Study, tyro.conf.subcommand("study")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Page, tyro.conf.subcommand("page")]
    | Annotated[Info, tyro.conf.subcommand("info")]
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    command = tyro.cli(
        Command,
        prog="deceive",
        description="Deceive a digit classifier with static, and teach it that this was rubbish.",
        args=arguments,
    )
    try:
        code = command.run()
    except InputError as error:
        _log.print(f"deceive: {error}", style="bold red", markup=False, highlight=False)
        code = 2
    except KeyboardInterrupt:
        _log.print("deceive: interrupted; what was finished is kept", style="bold")
        code = 130
    sys.exit(code)


def _show(text: str, summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _log.print(text, markup=False)
        print(json.dumps(summary))
    else:
        print(text)


def _class(target: str) -> int:
    if not target.isdecimal():
        raise InputError(f"--target: expected a class number or all, got {target!r}")
    return int(target)


def _aside(folder: Path, number: int) -> Path:
    return folder.with_name(f"{folder.name}.{number}")


def _in_words(row: dict[str, Any]) -> str:
    match row["part"]:
        case "classifier":
            return f"trained {row['network']}: {row['test_accuracy']:.2%} of the test set"
        case "fooling":
            return f"deceived it: {_fooling_in_words(row)}"
        case "rubbish":
            return (
                f"taught it {row['name']} as rubbish ({row['rubbish_images']:,} images in all): it "
                f"catches {row['caught']:.0%} of the last ten, reads {row['test_accuracy']:.2%} of "
                f"the test set; deceived again: {_fooling_in_words(row)}"
            )
    return "all four parts are done"


def _fooling_in_words(row: dict[str, Any]) -> str:
    median = row["median_steps"]
    return (
        f"{row['fooling_rate']:.1%} of {row['candidates']:,} candidates"
        + (f", median steps {median:g}" if median is not None else "")
        + f"; the judge agrees with {row['judge_agreement']:.1%} (chance {row['chance']:.0%})"
    )


def _write_and_reread(path: Path, network: Any, levels: Any, target: int) -> float:
    """Write levels (C, H, W) as a PNG, read it back, and give the network's confidence in it."""
    import numpy as np
    import torch
    from PIL import Image

    from deceive.files import replacing
    from deceive.fooling import from_levels
    from deceive.inference import probabilities_of

    if len(levels) not in (1, 3, 4):
        raise InputError(f"--out: expected an .npz for images of {len(levels)} channels")
    pixels = levels.permute(1, 2, 0).numpy()
    with replacing(path) as temporary:
        Image.fromarray(pixels[..., 0] if len(levels) == 1 else pixels).save(
            temporary, format="PNG"
        )
    with Image.open(path) as image:
        read = torch.from_numpy(np.array(image)).view(*levels.shape[1:], len(levels))
    return probabilities_of(network, from_levels(read.permute(2, 0, 1)[None]))[0, target].item()
