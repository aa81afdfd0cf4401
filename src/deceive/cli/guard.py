"""The command `deceive guard`: put a guard in front of a classifier, and audit both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import tyro
from rich.table import Table

from deceive.cli.audit import run_name
from deceive.cli.declared import Declared
from deceive.cli.folders import claimed
from deceive.cli.parsing import Command
from deceive.cli.screen import log, results, task
from deceive.cli.seconds import SECONDS
from deceive.cli.untrusted import no_way_out, stdout_apart
from deceive.guarding.settings import USUAL, GuardSettings


@dataclass(frozen=True, kw_only=True)
class GuardCommand(Command):
    """`deceive guard`: its flags, and what it does."""

    resumes: ClassVar[bool] = True

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """Your classifier: whatever `deceive audit` takes. It isn't changed."""
    settings: Annotated[GuardSettings, tyro.conf.arg(name="")]
    declared: tyro.conf.OmitArgPrefixes[Declared]
    """How the model takes its images; by default that is found out."""
    data: Path | None = None
    """Real images of its classes, as for `deceive audit`; by default MNIST."""
    out: Path | None = None
    """The folder to make; by default runs/guard-NAME."""
    use: str | None = None
    """A guard of this data to use: a shipped network or a .safetensors file."""
    train: bool = False
    """Train a guard even if one is shipped for the data, as for MNIST."""
    guards: Path = Path("runs/guards")
    """The folder in which trained guards are kept, for the next classifier of the same data."""
    judge: tuple[str, ...] = ("auto",)
    """Models that vote on what an image shows, for the audits. auto: three shipped networks for
    MNIST, and one that is trained on the training images for other data. none: no judging."""
    other_data: Path | None = None
    """A folder with images of other things: garbage to this model."""
    budget: Annotated[float | Literal["none"], SECONDS] = 240
    """Seconds for the audit with the guard; that without does as much. none: no limit."""
    audits: bool = True
    """Audit the classifier before and after."""
    trust: bool = False
    """Open files of formats that can run code when they are read (.pt2, TorchScript)."""
    onnx: bool = True
    """Also write classifier and guard as one ONNX file, where possible."""
    fresh: bool = False
    """Set aside an earlier run in the same folder, and start over."""
    json: bool = False
    """End with one JSON object on stdout."""

    @classmethod
    def usual(cls, arguments: Sequence[str]) -> Self:
        return cls(model=tyro.MISSING, settings=USUAL, declared=Declared())

    def run(self) -> int:
        from deceive.auditing.settings import QUICK
        from deceive.guarding import guard

        out = self.out or Path("runs") / run_name("guard", self.model)
        with claimed(out, fresh=self.fresh):
            with stdout_apart(), no_way_out():
                report = guard(
                    self.model,
                    self.data,
                    out=out,
                    interface=self.declared.interface(""),
                    settings=self.settings,
                    use=self.use,
                    train=self.train,
                    guards=self.guards,
                    auditing=QUICK if self.audits else None,
                    judge=None if self.judge == ("none",) else self.judge,
                    judge_interface=self.declared.interface("judge_"),
                    other_data=self.other_data,
                    budget=None if self.budget == "none" else self.budget,
                    trust=self.trust,
                    onnx=self.onnx,
                    task=partial(task, transient=True),
                    tell=log.print,
                )
            return self._end(report)

    def _end(self, report: Any) -> int:
        """Write the pages, print the results, and return the exit code."""
        from deceive.guarding.caveats import amounts, caveats
        from deceive.guarding.comparison import tables_of_both
        from deceive.guarding.verdict import verdict
        from deceive.reporting.guard import write_guard_page
        from deceive.storage.runs import Run

        folder, before, after = report.folder, report.before, report.after
        screen = log if self.json else results
        less = ""
        if before is not None and after is not None:
            less = amounts(before, after)
            for columns, rows in tables_of_both(before, after):
                table = Table(*columns)
                for row in rows:
                    table.add_row(*row)
                screen.print(table)
        for sentence in [*verdict(report.card, before, after), *([less] if less else [])]:
            screen.print(sentence)
        for caveat in caveats(before, after):
            log.print(caveat, style="bold red")
        page = write_guard_page(Run.open(folder))
        screen.print(f"{page}: the guarded classifier")
        if report.graph is not None:
            screen.print(f"As one ONNX file: {report.graph.as_posix()}")
        elif self.onnx:
            log.print(f"There is no ONNX file of it: {report.no_graph}")
        screen.print(f"In Python: deceive.load_guarded({json.dumps(folder.as_posix())})")
        if self.json:
            said = json.loads(report.card.model_dump_json()) | {"report": str(page)}
            for name, found in (("before", before), ("after", after)):
                if found is not None:
                    said[name] = str(folder / name / "audit.json")
            print(json.dumps(said), file=results.file)
        return 0 if report.complete else 3
