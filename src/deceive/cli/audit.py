"""The command `deceive audit`: measure how sure a classifier is of garbage."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TextIO

import tyro

from deceive.auditing.budget import Budget, usual_budget
from deceive.auditing.settings import QUICK, THOROUGH, AuditSettings
from deceive.cli.audit_results import say
from deceive.cli.declared import Declared
from deceive.cli.exports import Exports
from deceive.cli.folders import claimed
from deceive.cli.parsing import Command, chosen
from deceive.cli.screen import Screen, log, results, task
from deceive.cli.seconds import SECONDS
from deceive.cli.untrusted import cut_off, no_way_out, stdout_apart
from deceive.common import checks
from deceive.common.errors import InputError


@dataclass(frozen=True)
class Suite:
    """The flag that decides the other flags' defaults."""

    thorough: bool = False
    """Run the full suite, which takes hours for a model that resists."""


@dataclass(frozen=True, kw_only=True)
class AuditCommand(Suite, Command):
    """`deceive audit`: its flags, and what it does."""

    resumes: ClassVar[bool] = True

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """Your own package.module:factory or path/to/file.py:factory; a file: .onnx, .keras, .h5, .pt2,
    TorchScript, .safetensors with its card; timm:NAME, hf:ID-or-folder, torchvision:NAME; or a
    shipped network."""
    settings: Annotated[AuditSettings, tyro.conf.arg(name="")]
    declared: tyro.conf.OmitArgPrefixes[Declared]
    """How the model takes its images; by default that is found out."""
    files: tyro.conf.OmitArgPrefixes[Exports]
    """Files for other tools, written however the audit ends."""
    data: Path | None = None
    """Real images of its classes: class folders, IDX, .npz, .npy, CSV, CIFAR's binary files,
    Parquet or hf:NAME; by default MNIST."""
    out: Path | None = None
    """The run folder; by default runs/audit-NAME."""
    judge: tuple[str, ...] = ("auto",)
    """Models that vote on what an image shows; a majority must see the class. auto: three shipped
    networks, if the data is theirs. train: one is trained on the data's training images. none: no
    judging."""
    other_data: Path | None = None
    """A folder with images of other things, such as Fashion-MNIST: garbage to this model."""
    budget: Annotated[float | Literal["none"] | None, SECONDS] = None
    """Seconds that it may take; it reduces what no flag sets. none: do everything. By default 120,
    or none if a flag asks for more than usual."""
    max_gibberish_rate: float | None = None
    """For tests: exit with 1 if the gibberish rate at either threshold is greater."""
    trust: bool = False
    """Open files of formats that can run code when they are read (.pt2, TorchScript)."""
    fresh: bool = False
    """Set aside an earlier run in the same folder, and start over."""
    json: bool = False
    """End with audit.json on stdout."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self:
        thorough = chosen(Suite, arguments).thorough
        settings = THOROUGH if thorough else QUICK
        return cls(
            model=tyro.MISSING,
            settings=settings,
            declared=Declared(),
            files=Exports(),
            thorough=thorough,
        )

    def run(self) -> int:
        budget = usual_budget(self.settings) if self.budget is None else self.budget
        limit = Budget(None if budget == "none" else budget)
        if self.max_gibberish_rate is not None:
            checks.half_open_interval("--max-gibberish-rate", self.max_gibberish_rate, 0, 1)
        out = self.out or Path("runs") / (
            run_name("audit", self.model) + "-thorough" * self.thorough
        )
        self.files.check(out, json=self.json)
        from deceive.auditing import audit  # takes seconds, which the budget counts

        with claimed(out, fresh=self.fresh):
            with (
                stdout_apart() as stdout,
                cut_off(limit, partial(self._hang, out, stdout)),
                no_way_out(),
            ):
                report = audit(
                    self.model,
                    self.data,
                    judge=None if self.judge == ("none",) else self.judge,
                    interface=self.declared.interface(""),
                    judge_interface=self.declared.interface("judge_"),
                    other_data=self.other_data,
                    settings=self.settings,
                    out=out,
                    budget=limit,
                    trust=self.trust,
                    task=partial(task, transient=True),
                    tell=log.print,
                )
            return self._end(report, out)

    def _hang(self, out: Path, stdout: TextIO) -> int:
        """If a call into the model never returns, end with the results so far.

        The model may print meanwhile, so this prints to `stdout`, which is out of its reach.
        """
        from deceive.auditing.record.assemble import write_audit
        from deceive.storage.runs import Run

        log.print(
            "deceive: the budget was overrun by far, and a call into the model doesn't return; "
            "finished work is kept",
            style="bold red",
        )
        try:
            return self._end(write_audit(Run.open(out)), out, Screen(file=stdout))
        except InputError:  # it hung before there was anything to keep
            return 3
        finally:
            stdout.flush()

    def _end(self, report: Any, out: Path, shown: Screen = results) -> int:
        """Write the page and the other files, print the results, and return the exit code."""
        from deceive.reporting.audit import write_audit_page
        from deceive.reporting.exports.checks import over
        from deceive.storage.runs import Run

        page = write_audit_page(Run.open(out))
        self.files.write(report, self.max_gibberish_rate)
        screen = log if self.json else shown
        say(report, out, screen)
        screen.print(f"{page}: {report.seconds:.0f} s of work")
        if self.json:
            content = json.loads(report.model_dump_json())
            print(json.dumps(content), file=shown.file)  # ASCII only, for any terminal
        if too_much := over(report, report.worst_rate, self.max_gibberish_rate):
            log.print(f"deceive: {too_much}", style="bold red")
            return 1
        if report.warnings:
            log.print(
                "deceive: the figures may be misleading; see the warning"
                + "s" * (len(report.warnings) > 1),
                style="bold red",
            )
        return 0 if report.complete and not report.warnings else 3


def run_name(command: str, model: str) -> str:
    """What the run folder of a command and a model is called."""
    name = model.rpartition(":")[2] if ":" in model else Path(model).stem
    name = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    return f"{command}-{name}"
