"""The command line: parse, call, print.

Exit codes: 0 done; 1 not every candidate was fooled, or an audit found more gibberish than is
allowed; 2 bad input; 3 an audit is not complete; 4 another of several processes is gone; 130
interrupted.
"""

import itertools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from deceive.errors import InputError, LostProcessError

_log = Console(stderr=True)

# An audit whose budget is overrun by as much again, and by so many seconds, hangs in the model.
_OVERRUN = 60.0


@contextmanager
def _task(description: str, *, transient: bool = False) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr for as long as the block lasts; a transient one then goes.

    What it gives takes (done, total), and a few words on how things stand if there are any.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    # Where nobody watches, a bar that goes leaves an empty line.
    hidden = transient and not _log.is_terminal
    with Progress(*columns, console=_log, transient=transient, disable=hidden) as progress:
        bar = progress.add_task(description, note="")

        def report(done: float, total: float, note: str = "") -> None:
            progress.update(bar, completed=done, total=total, note=note)

        yield report


@dataclass(frozen=True)
class Train:
    """Train a classifier on clean digits, and write its weights and its card."""

    recipe: Annotated[str, tyro.conf.arg(aliases=("--architecture",))] = "fast"
    """What is trained, and how: fast, judge, study (the case study's own), or adversarial: fast, on
    images that an adversary has moved."""
    out: Path = Path("network.safetensors")
    """Where the weights go; the card goes beside them."""
    epochs: float | None = None
    """Passes over the training images; by default the recipe's."""
    data: Path | None = None
    """A folder with MNIST's four files, or another set's of the same form."""
    seed: int = 0
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive import checks, processes
        from deceive.data import load_data
        from deceive.models import save_network
        from deceive.recipes import RECIPES, train

        checks.one_of("recipe", self.recipe, sorted(RECIPES))
        settings = RECIPES[self.recipe]
        if self.epochs is not None:
            checks.open_interval("epochs", self.epochs, 0, 10_000)
            settings = settings.model_copy(update={"epochs": self.epochs})
        if self.out.suffix != ".safetensors":
            raise InputError(f"--out: expected a name that ends in .safetensors, got {self.out}")
        data = load_data(self.data)
        with _task(f"training {self.recipe}") as report:
            network, card = train(
                self.recipe,
                data,
                seed=self.seed,
                settings=settings,
                callback=lambda now: report(now.step, now.steps),
            )

        def keep() -> None:
            save_network(network, self.out, card)
            _show(
                f"{self.out}: {card.test_accuracy:.2%} of the test set "
                f"({card.validation_accuracy:.2%} of the validation set), {card.seconds:.0f} s",
                {"out": str(self.out)} | card.model_dump(),
                self.json,
            )

        processes.on_main(keep)
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
        from deceive import processes
        from deceive.fooling import fool
        from deceive.models import load_card, load_network

        network, card = load_network(self.model), load_card(self.model)
        targets = _targets(self.target, card, "--target")
        single = len(targets) * self.count == 1
        if self.out.suffix not in (".npz", ".png") or (self.out.suffix == ".png" and not single):
            raise InputError(
                f"--out: expected an .npz, or a .png for one image, got {self.out} "
                f"for {len(targets) * self.count} images"
            )
        with _task(f"deceiving {self.model}") as report:
            result = fool(
                network.to(processes.here().device),
                targets,
                count=self.count,
                confidence=self.confidence,
                start=self.start,
                steps=self.steps,
                seed=self.seed,
                callback=lambda now: report(now.finished, now.total),
            )
        processes.on_main(lambda: self._keep(result, network, card))
        return 0 if bool(result.fooled.all()) else 1

    def _keep(self, result: Any, network: Any, card: Any) -> None:
        summary: dict[str, Any] = {
            "out": str(self.out),
            "candidates": len(result),
            "fooling_rate": result.fooling_rate,
            "median_steps": result.median_steps,
        }
        verdict_of_judge = _judged(self.judge, card, result, summary)
        if self.out.suffix == ".png":
            target = int(result.targets[0])
            confidence = _write_and_reread(self.out, network, result.levels[0], target)
            verdict = f"is a {target} with confidence {confidence:.4f}"
            text = f"{self.out}: read back, it {verdict}, {int(result.steps[0])} steps"
            summary["confidence"] = confidence
        else:
            from deceive.runs import arrays_of, write_arrays

            arrays = arrays_of(result)
            levels = arrays.pop("levels")
            write_arrays(self.out, images=_without_one_channel(levels), **arrays)
            text = (
                f"{self.out}: {int(result.fooled.sum())} of {len(result)} candidates fool "
                f"{self.model}, median steps {result.median_steps}"
            )
            text += verdict_of_judge
        _show(text, summary, self.json)


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
            raise _flag_error(error) from error
        if self.fresh:
            _put_aside(self.out)
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
class Draw:
    """Draw digits from noise by deceiving a network of the rounds. Writes a PNG, or an .npz."""

    digit: str = "all"
    """The class to draw, or all of them."""
    count: int = 10
    """Images for each class."""
    out: Path = Path("drawn.png")
    """A .png with all of them in rows, or an .npz with the arrays images and targets."""
    model: str = "draw"
    """A shipped network of the rounds, or a safetensors file."""
    judge: str = "judge"
    """A network that says what the images look like, if it was trained on the same data."""
    seed: int = 0
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive import processes
        from deceive.drawing import draw
        from deceive.models import load_card, load_network

        network, card = load_network(self.model), load_card(self.model)
        if card.ascent is None or card.ascent.schedule is None:
            raise InputError(
                f"--model: expected a network that draws, whose card says how; {self.model!r} "
                "has no schedule in its card"
            )
        steps = card.ascent.schedule
        if self.out.suffix not in (".npz", ".png"):
            raise InputError(f"--out: expected a .png or an .npz, got {self.out}")
        targets = _targets(self.digit, card, "--digit")
        with _task(f"drawing with {self.model}") as report:
            result = draw(
                network.to(processes.here().device),
                targets,
                count=self.count,
                seed=self.seed,
                ascent=card.ascent,
                callback=lambda now: report(now.image_steps, now.total * steps),
            )
        processes.on_main(lambda: self._keep(result, card, single=len(targets) == 1))
        return 0

    def _keep(self, result: Any, card: Any, *, single: bool) -> None:
        from deceive.figures import contact_sheet, save
        from deceive.runs import write_arrays

        summary: dict[str, Any] = {"out": str(self.out), "images": len(result)}
        text = f"{self.out}: {len(result):,} images"
        text += _judged(self.judge, card, result, summary)
        if self.out.suffix == ".npz":
            images = _without_one_channel(result.levels.numpy())
            write_arrays(self.out, images=images, targets=result.targets.numpy())
        else:
            columns = min(self.count, 10) if single else self.count
            save(contact_sheet(result.levels.numpy(), columns=columns), self.out)
        _show(text, summary, self.json)


@dataclass(frozen=True)
class Rounds:
    """Deceive, teach that it was rubbish, and again. Resumes by itself."""

    what: Annotated[Any, tyro.conf.Suppress] = None
    preset: str = "draw"
    """draw (until digits emerge), resist (until gibberish no longer deceives), or study (the case
    study's own procedure)."""
    settings: Path | None = None
    """A JSON file of settings; they take the place of the preset's."""
    out: Path | None = None
    """The run folder; by default runs/PRESET."""
    data: Path | None = None
    """A folder with MNIST's four files, or another set's of the same form."""
    tensorboard: bool = False
    """Write rows, images and news to tensorboard/ in the run folder too, as they come."""
    fresh: bool = False
    """Put an earlier run in the same folder aside, and start anew."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive import processes
        from deceive.data import load_data
        from deceive.models import load_card, load_network
        from deceive.runs import Run
        from deceive.teaching import rounds

        out = self.out or Path("runs") / self.preset
        if self.fresh:
            processes.on_main(lambda: _put_aside(out))
        data = load_data(self.data)
        judge = load_network(self.what.judge)
        if load_card(self.what.judge).data_checksum != data.checksum:
            raise InputError(
                f"--judge: expected a network that was trained on the images in {data.folder}, "
                f"got {self.what.judge!r}, trained on others; deceive train --data makes one"
            )
        settings = self.what.model_dump(mode="json") | {"data_checksum": data.checksum}
        run = processes.on_main(lambda: Run(out, settings))
        judge.to(processes.here().device)
        board = None
        if self.tensorboard and processes.here().is_main:
            from deceive.board import Board

            board = Board(run)
        task = board.listening(_task) if board else _task
        for row in rounds(data, run, self.what, judge, task):
            _log.print(" ", _round_in_words(row))
            if board:
                board.show(row)
        processes.on_main(lambda: self._finish(run))
        return 0

    def _finish(self, run: Any) -> None:
        from deceive.figures import rounds_pictures
        from deceive.report import write_rounds_report

        rounds_pictures(run)
        page = write_rounds_report(run)
        rows = run.rows()
        last = next(row for row in reversed(rows) if row["part"] == "round")
        _show(
            f"{page}: {last['round']:,} rounds in {last['seconds']:.0f} s",
            {"rows": rows, "report": str(page)},
            self.json,
        )


def _rounds(arguments: list[str]) -> Rounds:
    """The rounds that a command line asks for: a preset, what a file changes, and what flags do.

    There is a flag for every setting; its help shows what the preset and the file make of it.
    """
    from pydantic import ValidationError

    from deceive import checks
    from deceive.teaching import PRESETS, RoundsSettings, changed

    begun, _ = tyro.cli(Rounds, args=arguments, return_unknown_args=True, add_help=False)
    checks.one_of("--preset", begun.preset, PRESETS)

    @dataclass(frozen=True)
    class Chosen(Rounds):
        what: Annotated[RoundsSettings, tyro.conf.arg(name="")] = PRESETS["draw"]

    try:
        usual = changed(PRESETS[begun.preset], begun.settings)
        return tyro.cli(
            Chosen,
            prog="deceive rounds",
            description=Rounds.__doc__,
            default=Chosen(**vars(begun) | {"what": usual}),
            args=arguments,
        )
    except ValidationError as error:
        raise _flag_error(error) from error


@dataclass(frozen=True)
class Audit:
    """How sure is your classifier of garbage? Ends with a page. Resumes by itself."""

    model: tyro.conf.Positional[str]
    """package.module:factory of your own, a shipped network, or a file: .safetensors with our card,
    .onnx, .pt2, TorchScript."""
    data: Path | None = None
    """A folder with real images of its classes, in MNIST's format; by default MNIST."""
    out: Path | None = None
    """The run folder; by default runs/audit-NAME."""
    judge: str = "auto"
    """A second model for the same data, of any format; auto takes the shipped one if it fits, none
    does without."""
    bounds: tuple[float, float] | None = None
    """What black and white are to the model; found out if neither this nor --mean is given."""
    mean: tuple[float, ...] | None = None
    """For a model that wants normalised images: what is subtracted, once or for each channel."""
    std: tuple[float, ...] | None = None
    """What they are divided by then."""
    rubbish_class: int | None = None
    """The output that stands for none of the classes."""
    other_data: Path | None = None
    """A folder with images of other things, such as Fashion-MNIST: garbage to this model."""
    thorough: bool = False
    """The full suite: hours for a model that resists."""
    confidence: float | None = None
    """What counts as being sure; by default 0.99."""
    candidates: int | None = None
    """Candidates for each start."""
    steps: int | None = None
    """The most steps a candidate may take."""
    restarts: int | None = None
    curve_candidates: int | None = None
    searched: int | None = None
    """Candidates of each black-box attack."""
    queries: int | None = None
    """Answers a search may ask for, for each candidate."""
    garbage_images: int | None = None
    """Images of each kind of garbage."""
    seed: int | None = None
    budget: float | None = None
    """Seconds for this call; the same command goes on from there."""
    max_gibberish_rate: float | None = None
    """Exit with 1 if the rate at either threshold is greater: a check for your tests."""
    trust: bool = False
    """Open files of formats that can run code when they are read (.pt2, TorchScript)."""
    fresh: bool = False
    """Put an earlier run in the same folder aside, and start anew."""
    json: bool = False
    """End with audit.json on stdout."""

    def run(self) -> int:
        from functools import partial

        from pydantic import ValidationError

        from deceive import checks
        from deceive.auditing import QUICK, THOROUGH, AuditSettings, audit

        if self.max_gibberish_rate is not None:
            checks.half_open_interval("--max-gibberish-rate", self.max_gibberish_rate, 0, 1)
        preset = (THOROUGH if self.thorough else QUICK).model_dump()
        given = {name: value for name in preset if (value := getattr(self, name, None)) is not None}
        try:
            settings = AuditSettings(**preset | given)
        except ValidationError as error:
            raise _flag_error(error) from error
        out = self.out or Path("runs") / _audit_name(self.model, self.thorough)
        if self.fresh:
            _put_aside(out)
        with self._cut_off(out):
            report = audit(
                self.model,
                self.data,
                judge=None if self.judge == "none" else self.judge,
                bounds=self.bounds,
                mean=self.mean,
                std=self.std,
                rubbish_class=self.rubbish_class,
                other_data=self.other_data,
                settings=settings,
                out=out,
                budget=self.budget,
                trust=self.trust,
                task=partial(_task, transient=True),
            )
        return self._end(report, out)

    @contextmanager
    def _cut_off(self, out: Path) -> Iterator[None]:
        """End the process if the block outlives the budget by far, with what is in the folder.

        The budget is looked at between calls into the model. From one that does not come back
        there is no other way out: Python cannot interrupt foreign code.
        """
        from deceive import checks

        if self.budget is None:
            yield
            return
        checks.open_interval("budget", self.budget, 0, float("inf"))
        patience = min(self.budget + max(self.budget, _OVERRUN), threading.TIMEOUT_MAX)
        timer = threading.Timer(patience, self._hangs, (out,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _hangs(self, out: Path) -> None:
        from deceive.auditing.assemble import write_audit
        from deceive.runs import Run

        code = 3
        try:
            _log.print(
                "deceive: the budget is long spent, and the model does not come back from a call; "
                "what was finished is kept",
                style="bold red",
            )
            code = self._end(write_audit(Run.open(out)), out)
        except InputError:
            pass  # it hung before there was anything to keep
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _end(self, report: Any, out: Path) -> int:
        """Write the page of what was found, say it, and give the exit code."""
        from deceive.auditing.verdict import failures, still_to_come, verdict
        from deceive.report import write_audit_page
        from deceive.runs import Run

        page = write_audit_page(Run.open(out))
        screen = _log if self.json else Console()
        for table in _audit_tables(report):
            screen.print(table)
        for sentence in verdict(report):
            screen.print(sentence, markup=False, highlight=False)
        for note in report.notes:
            screen.print(f"Note: {note}", markup=False, highlight=False)
        for failure in failures(report):
            _log.print(f"failed: {failure}", style="bold red", markup=False, highlight=False)
        if report.missing:
            left = f"{still_to_come(report)}. The same command goes on from here."
            _log.print(f"not done yet: {left}", markup=False, highlight=False)
        screen.print(f"{page}: {report.seconds:.0f} s of work", markup=False, highlight=False)
        if self.json:
            print(report.model_dump_json())
        limit, rate = self.max_gibberish_rate, report.worst_rate
        if limit is not None and rate is not None and rate > limit:
            kind = "gibberish" if report.judge else "fooling"
            _log.print(f"deceive: {kind} rate {rate:.1%}, more than {limit:.1%}", style="bold red")
            return 1
        return 0 if report.complete else 3


@dataclass(frozen=True)
class Leaderboard:
    """A table of audits, from their audit.json files."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """The files, or the run folders that they are in."""
    out: Path = Path("leaderboard.md")
    """Where the table goes, as Markdown."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.leaderboard import write_leaderboard

        rows = write_leaderboard(self.files, self.out)
        said = f"{self.out}: {len(rows)} model{'s' * (len(rows) != 1)}"
        _show(said, {"out": str(self.out), "rows": rows}, self.json)
        return 0


@dataclass(frozen=True)
class Report:
    """Write the page of a study, rounds or an audit again, from its folder, finished or not."""

    folder: tyro.conf.Positional[Path] = Path("runs/study")
    """The run folder."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.auditing.assemble import assemble, is_audit
        from deceive.auditing.verdict import still_to_come
        from deceive.figures import rounds_pictures, study_pictures
        from deceive.report import (
            is_rounds,
            missing_parts,
            write_audit_page,
            write_report,
            write_rounds_report,
        )
        from deceive.runs import Run

        run = Run.open(self.folder)
        if is_rounds(run):
            pictures, page = rounds_pictures(run), write_rounds_report(run)
            said = {"report": str(page), "pictures": [str(path) for path in pictures]}
            _show(f"{page}: {len(run.rows())} rows", said, self.json)
            return 0
        if is_audit(run):
            page, found = write_audit_page(run), assemble(run)
            left = f"still to come: {still_to_come(found)}" if found.missing else "all parts"
            _show(f"{page}: {left}", {"report": str(page), "missing": found.missing}, self.json)
            return 0
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
        takes = ["images", *(["targets"] * self.gradient), *(["noise"] * network.hears_noise)]
        gives = ["logits", *(["gradient"] * self.gradient)]
        _show(
            f"{out}: ({', '.join(takes)}) to ({', '.join(gives)}), {size / 1e6:.2f} MB",
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
    | Annotated[Rounds, tyro.conf.subcommand("rounds")]
    | Annotated[Draw, tyro.conf.subcommand("draw")]
    | Annotated[Audit, tyro.conf.subcommand("audit")]
    | Annotated[Leaderboard, tyro.conf.subcommand("leaderboard")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Page, tyro.conf.subcommand("page")]
    | Annotated[Info, tyro.conf.subcommand("info")]
)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["rounds"]:
            code = _run(_rounds(arguments[1:]))
        else:
            code = _run(_command(arguments))
    except InputError as error:
        _complain(str(error))
        code = 2
    except LostProcessError as error:
        _complain(f"{error}; rounds go on from where they were last saved")
        code = 4
    except KeyboardInterrupt:
        _log.print("deceive: interrupted; what was finished is kept", style="bold")
        code = 130
    sys.exit(code)


def _run(command: Any) -> int:
    """Run a command, together with the other processes if a launcher started some; its code.

    The main process alone speaks, but for errors.
    """
    from deceive import processes

    processes.join()
    here = processes.here()
    if here.count > 1 and not isinstance(command, _TOGETHER):
        raise InputError(
            f"{type(command).__name__.lower()}: expected one process, got {here.count}; train, "
            "fool, draw and rounds share their work among several"
        )
    _log.quiet = not here.is_main
    code: int = command.run()
    processes.leave()
    return code


# Commands whose work several processes can share.
_TOGETHER = (Train, Fool, Rounds, Draw)


def _complain(words: str) -> None:
    _log.quiet = False
    _log.print(f"deceive: {words}", style="bold red", markup=False, highlight=False, soft_wrap=True)


def _command(arguments: list[str]) -> Any:
    return tyro.cli(
        Command,
        prog="deceive",
        description="Deceive a digit classifier with static, and teach it that this was rubbish.",
        args=arguments,
    )


def _show(text: str, summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _log.print(text, markup=False)
        print(json.dumps(summary))
    else:
        print(text)


def _targets(asked: str, card: Any, flag: str) -> Sequence[int]:
    """The classes that a flag asks for: one by its number, or all but rubbish."""
    if asked == "all":
        return range(card.n_outputs - (card.rubbish_class is not None))
    if not asked.isdecimal():
        raise InputError(f"{flag}: expected a class number or all, got {asked!r}")
    return [int(asked)]


def _judged(name: str, card: Any, result: Any, summary: dict[str, Any]) -> str:
    """The judge on images, in words and in the summary; nothing if it knows other data."""
    from deceive.measures import agreement
    from deceive.models import load_card, load_network

    if load_card(name).data_checksum != card.data_checksum:
        return ""
    agreed = agreement(load_network(name), result.images, result.targets)
    summary["judge_agreement"] = agreed
    return f"; the judge takes {agreed:.1%} for their targets"


def _without_one_channel(levels: Any) -> Any:
    """(N, H, W) for images of one channel, else as they are."""
    return levels[:, 0] if levels.shape[1] == 1 else levels


def _put_aside(folder: Path) -> None:
    """Rename a folder that is there to the first NAME.1, NAME.2, … that isn't."""
    if folder.exists():
        names = (folder.with_name(f"{folder.name}.{number}") for number in itertools.count(1))
        folder.rename(next(name for name in names if not name.exists()))


def _flag_error(error: Any) -> InputError:
    """The first thing that is wrong with validated settings, by the name of its flag."""
    first = error.errors()[0]
    said = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # about several of them together
        return InputError(f"settings: {said}")
    name = "--" + ".".join(str(part) for part in first["loc"]).replace("_", "-")
    return InputError(f"{name}: {said}; got {first['input']!r}")


def _audit_name(model: str, thorough: bool) -> str:
    name = model.rpartition(":")[2] if ":" in model else Path(model).stem
    return f"audit-{name}" + "-thorough" * thorough


def _audit_tables(report: Any) -> list[Table]:
    """The headline, the garbage and the attacks of an audit, as far as they are there."""
    from deceive.auditing.verdict import KINDS, sure

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value:.1%}"

    tables = []
    if report.headlines:
        headline = Table("box", "threshold", "real images pass", "fooled", "gibberish")
        for each in report.headlines:
            for threshold in report.thresholds:
                outcome = each.outcome(threshold.name)
                headline.add_row(
                    *(each.box, f"{threshold.name}, {sure(threshold.confidence)}"),
                    share(threshold.test_share),
                    *(share(outcome.fooling_rate), share(outcome.gibberish_rate)),
                )
        tables.append(headline)
    if report.garbage:
        asked = sure(report.settings["confidence"])
        garbage = Table("garbage", "mean confidence", f"≥ {asked}", "AUROC", "FPR at 95% TPR")
        for each in report.garbage:
            msp = each.scores.get("msp")
            scores = ("–", "–") if msp is None else (f"{msp.auroc:.3f}", share(msp.fpr_at_95_tpr))
            garbage.add_row(
                KINDS[each.kind], share(each.mean_confidence), share(each.asked_share), *scores
            )
        tables.append(garbage)
    if report.attacks:
        attacks = Table("attack", "start", "candidates", "fooled", "gibberish", "median")
        for each in report.attacks:
            outcome = each.outcomes[0]
            median = "–" if outcome.median is None else f"{outcome.median:g}"
            attacks.add_row(
                *(each.name, each.start, f"{outcome.candidates:,}"),
                *(share(outcome.fooling_rate), share(outcome.gibberish_rate), median),
            )
        tables.append(attacks)
    return tables


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


def _round_in_words(row: dict[str, Any]) -> str:
    if row["part"] == "quality":
        return (
            f"{row['images']:,} fresh images: the judge agrees with {row['judge_agreement']:.1%}, "
            f"Fréchet distance {row['frechet_distance']:.2f} (real images "
            f"{row['floor_frechet_distance']:.2f}), {row['images_per_second']:.0f} images a second"
        )
    said = f"round {row['round']:,}, {row['seconds']:.0f} s: "
    if "fooling_rate" in row:
        said += f"fooled by {row['fooling_rate']:.1%} of {row['images']:,} candidates; "
    if "gibberish_rate" in row:
        said += f"{row['gibberish_rate']:.1%} are gibberish; "
    return said + f"the judge agrees with {row['judge_agreement']:.1%}"


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
