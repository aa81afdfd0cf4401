"""The commands that audit a model, and that set audits side by side."""

import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, Self

import tyro
from rich.table import Table

from deceive.auditing.settings import QUICK, THOROUGH, AuditSettings
from deceive.cli.folders import claimed
from deceive.cli.parsing import Command, chosen
from deceive.cli.screen import log, results, show, task
from deceive.cli.supervised import leave
from deceive.common.checks import counted
from deceive.common.errors import InputError

# An audit whose budget is overrun by as much again, and by so many seconds, hangs in the model.
_OVERRUN = 60.0


@dataclass(frozen=True)
class Suite:
    """The flag that decides the other flags' defaults."""

    thorough: bool = False
    """Run the full suite, which takes hours for a model that resists."""


@dataclass(frozen=True, kw_only=True)
class AuditCommand(Suite, Command):
    """`deceive audit`: its flags, and what it does."""

    model: tyro.conf.Positional[str]
    """package.module:factory of your own, a shipped network, or a file: .safetensors with our card,
    .onnx, .pt2, TorchScript."""
    settings: Annotated[AuditSettings, tyro.conf.arg(name="")]
    data: Path | None = None
    """A folder with real images of its classes, in MNIST's format; by default MNIST."""
    out: Path | None = None
    """The run folder; by default runs/audit-NAME."""
    judge: tuple[str, ...] = ("auto",)
    """Models that vote on what an image shows; a majority must see the class. auto: three shipped
    networks, if the data is theirs. none: no judging."""
    bounds: tuple[float, float] | None = None
    """The values that the model takes for black and white; by default the usual scaling that it
    reads best."""
    mean: tuple[float, ...] | None = None
    """For a model of normalised images: what is subtracted, one number or one for each channel."""
    std: tuple[float, ...] | None = None
    """For a model of normalised images: what they are divided by after that."""
    output: str | None = None
    """For a model with several outputs: the one to read, by name or by number from 0."""
    judge_bounds: tuple[float, float] | None = None
    """Like --bounds, for the models given by --judge; by default the scaling that each reads
    best."""
    judge_mean: tuple[float, ...] | None = None
    """Like --mean, for the models given by --judge."""
    judge_std: tuple[float, ...] | None = None
    """Like --std, for the models given by --judge."""
    judge_output: str | None = None
    """Like --output, for the models given by --judge."""
    judge_rubbish_class: int | None = None
    """Like --rubbish-class, for the models given by --judge."""
    rubbish_class: int | None = None
    """The output that stands for none of the classes."""
    other_data: Path | None = None
    """A folder with images of other things, such as Fashion-MNIST: garbage to this model."""
    budget: float | None = None
    """Stop after this many seconds; the same command then goes on from there."""
    max_gibberish_rate: float | None = None
    """Exit with 1 if the gibberish rate at either threshold is greater: a check for your tests."""
    trust: bool = False
    """Open files of formats that can run code when they are read (.pt2, TorchScript)."""
    fresh: bool = False
    """Put an earlier run in the same folder aside, and start anew."""
    json: bool = False
    """End with audit.json on stdout."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self:
        thorough = chosen(Suite, arguments).thorough
        settings = THOROUGH if thorough else QUICK
        return cls(model=tyro.MISSING, settings=settings, thorough=thorough)

    def run(self) -> int:
        from functools import partial

        from deceive.auditing import audit
        from deceive.common import checks

        if self.max_gibberish_rate is not None:
            checks.half_open_interval("--max-gibberish-rate", self.max_gibberish_rate, 0, 1)
        out = self.out or Path("runs") / _audit_name(self.model, self.thorough)
        with claimed(out, fresh=self.fresh):
            with self._cut_off(out), _no_way_out():
                report = audit(
                    self.model,
                    self.data,
                    judge=None if self.judge == ("none",) else self.judge,
                    interface=self._interface(""),
                    judge_interface=self._interface("judge_"),
                    other_data=self.other_data,
                    settings=self.settings,
                    out=out,
                    budget=self.budget,
                    trust=self.trust,
                    task=partial(task, transient=True),
                )
            return self._end(report, out)

    def _interface(self, prefix: str) -> Any:
        """What the flags with this prefix declare of a model."""
        from deceive.auditing import Interface, Scaling

        def given(*names: str) -> dict[str, Any]:
            values = {name: getattr(self, prefix + name) for name in names}
            return {name: value for name, value in values.items() if value is not None}

        try:
            scaling = given("bounds", "mean", "std")
            return Interface(
                scaling=Scaling(**scaling) if scaling else None,
                **given("output", "rubbish_class"),
            )
        except InputError as error:
            raise InputError(f"--{prefix.replace('_', '-')}{error}") from error

    @contextmanager
    def _cut_off(self, out: Path) -> Iterator[None]:
        """End the process if the block outlives the budget by far, with what is in the folder.

        The budget is looked at between calls into the model. From one that does not come back
        there is no other way out: Python cannot interrupt foreign code.
        """
        from deceive.common import checks

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
        from deceive.auditing.record.assemble import write_audit
        from deceive.storage.runs import Run

        code = 3
        try:
            log.print(
                "deceive: the budget is long spent, and the model does not come back from a call; "
                "what was finished is kept",
                style="bold red",
            )
            code = self._end(write_audit(Run.open(out)), out)
        except InputError:
            pass  # it hung before there was anything to keep
        finally:
            try:
                sys.stdout.flush()
            finally:  # even if that can't be written
                leave(code)

    def _end(self, report: Any, out: Path) -> int:
        """Write the page of what was found, say it, and give the exit code."""
        from deceive.auditing.verdict import failures, still_to_come, verdict
        from deceive.reporting.audit import write_audit_page
        from deceive.storage.runs import Run

        page = write_audit_page(Run.open(out))
        screen = log if self.json else results
        for warning in report.warnings:
            screen.print(f"Warning: {warning}", style="bold red")
        for table in _audit_tables(report):
            screen.print(table)
        for sentence in verdict(report)[len(report.warnings) :]:
            screen.print(sentence)
        for note in report.notes:
            screen.print(f"Note: {note}")
        for failure in failures(report):
            log.print(f"failed: {failure}", style="bold red")
        if report.missing:
            left = f"{still_to_come(report)}. The same command goes on from here."
            log.print(f"not done yet: {left}")
        screen.print(f"{page}: {report.seconds:.0f} s of work")
        if self.json:
            print(json.dumps(json.loads(report.model_dump_json())))  # ASCII only, for any terminal
        limit, rate = self.max_gibberish_rate, report.worst_rate
        if limit is not None and rate is not None and rate > limit:
            kind = "gibberish" if report.judges else "fooling"
            log.print(f"deceive: {kind} rate {rate:.1%}, more than {limit:.1%}", style="bold red")
            return 1
        if report.warnings:
            log.print(
                "deceive: the figures may be misleading; see the warning"
                + "s" * (len(report.warnings) > 1),
                style="bold red",
            )
        return 0 if report.complete and not report.warnings else 3


@dataclass(frozen=True)
class LeaderboardCommand(Command):
    """`deceive leaderboard`: its flags, and what it does."""

    files: tyro.conf.Positional[tuple[Path, ...]]
    """The files, or the run folders that they are in."""
    out: Path = Path("leaderboard.md")
    """Where the table goes, as Markdown."""
    json: bool = False
    """End with one JSON object on stdout."""

    def run(self) -> int:
        from deceive.auditing.leaderboard import write_leaderboard
        from deceive.common.files import check_writable

        check_writable(self.out)
        rows = write_leaderboard(self.files, self.out)
        said = f"{self.out}: {counted(len(rows), 'model')}"
        show(said, {"out": str(self.out), "rows": rows}, self.json)
        return 0


@contextmanager
def _no_way_out() -> Iterator[None]:
    """Within the block, `os._exit` in this process is an error.

    Otherwise a model could end the command with 0, as if the audit had passed.
    """
    here, before = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:  # a child process may exit
            before(status)
        raise RuntimeError(f"os._exit({status}) during an audit")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = before


def _audit_name(model: str, thorough: bool) -> str:
    name = model.rpartition(":")[2] if ":" in model else Path(model).stem
    return f"audit-{name}" + "-thorough" * thorough


def _audit_tables(report: Any) -> list[Table]:
    """The headline, the garbage and the attacks of an audit, as far as they are there."""
    from deceive.auditing.record.measured import KINDS
    from deceive.auditing.verdict import sure

    def share(value: float | None, digits: int = 1) -> str:
        return "–" if value is None else f"{value:.{digits}%}"

    tables = []
    if report.judges:
        judges = Table("judge", "test images it reads")
        for each in report.judges:
            judges.add_row(each.name, share(each.accuracy, 2))
        if len(report.judges) > 1:
            judges.add_row("majority", share(report.judge_accuracy, 2))
        tables.append(judges)
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
        asked = sure(report.settings.confidence)
        garbage = Table("garbage", "mean confidence", f"≥ {asked}", "AUROC", "FPR at 95% TPR")
        for each in report.garbage:
            msp = each.scores.get("msp")
            scores = ("–", "–") if msp is None else (f"{msp.auroc:.3f}", share(msp.fpr_at_95_tpr))
            garbage.add_row(
                KINDS[each.kind], share(each.mean_confidence), share(each.asked_share), *scores
            )
        tables.append(garbage)
    if report.attacks:
        attacks = Table(
            "attack", "start", "candidates", "fooled", "gibberish", "median steps/queries"
        )
        for each in report.attacks:
            outcome = each.outcomes[0]
            median = "–" if outcome.median is None else f"{outcome.median:g}"
            attacks.add_row(
                *(each.name, each.start, f"{outcome.candidates:,}"),
                *(share(outcome.fooling_rate), share(outcome.gibberish_rate), median),
            )
        tables.append(attacks)
    return tables
