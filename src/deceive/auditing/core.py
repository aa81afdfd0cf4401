"""`audit`: how sure a classifier is of garbage, part by part, in a folder that a run resumes."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deceive.auditing.assemble import write_audit
from deceive.auditing.formats import WANT_TRUST, Model, importable, load_model
from deceive.auditing.identity import identity_of, recognise
from deceive.auditing.judges import AUTO, meet_judges
from deceive.auditing.measuring import Measurements, Part
from deceive.auditing.rows import AUDIT
from deceive.auditing.scaling import FOUND_OUT, Interface, as_json
from deceive.auditing.schema import VERSION, Report
from deceive.auditing.settings import QUICK, AuditSettings
from deceive.auditing.subject import Subject, meet
from deceive.common import arguments, checks
from deceive.common.errors import DamageError, InputError, WriteError
from deceive.common.progress import Task, Tick
from deceive.data.loading import Dataset, load_data
from deceive.data.source import MNIST
from deceive.storage.runs import Row, Run


class _OutOfTime(Exception):  # noqa: N818 - it ends the work in good order, and is no error
    """The budget is spent."""


@contextmanager
def _contained() -> Iterator[None]:
    """Within the block, `sys.exit` in a model's code is an error and doesn't end the process."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(
            f"model: expected code that lets the audit finish, got {error!r}"
        ) from error


@_contained()
@importable()
@arguments.taking(
    data=arguments.maybe(arguments.of("a Dataset or its folder", Dataset, str, Path)),
    judge=arguments.maybe(arguments.models),
    interface=arguments.of("an Interface", Interface),
    judge_interface=arguments.of("an Interface", Interface),
    other_data=arguments.maybe(arguments.of("a Dataset or its folder", Dataset, str, Path)),
    settings=arguments.of("AuditSettings", AuditSettings),
    out=arguments.maybe(arguments.place),
    trust=arguments.flag,
    task=arguments.maybe(arguments.function),
)
def audit(
    model: Model,
    data: Dataset | str | Path | None = None,
    *,
    judge: Model | list[Model] | tuple[Model, ...] | None = AUTO,
    interface: Interface = FOUND_OUT,
    judge_interface: Interface = FOUND_OUT,
    other_data: Dataset | str | Path | None = None,
    settings: AuditSettings = QUICK,
    out: Path | str | None = None,
    budget: float | None = None,
    trust: bool = False,
    task: Task | None = None,
) -> Report:
    """Find out how sure a classifier is of garbage.

    The model is run on garbage that was not optimised, and attacked: along its gradient where
    it has one, from every start and by several rules; and as a black box, by images made for other
    networks and by search. What counts is the gibberish rate: the share of candidates that make it
    sure of a target which most of the judges, other classifiers, do not see in them.

    Args:
        model: an `nn.Module`, a callable from images (N, C, H, W) to outputs (N, K), or where to
            find one: see `formats.load_model`. It isn't changed.
        data: real images of its classes, or their folder (`load_data`); by default MNIST.
        judge: other models for the same data, one or several; `auto` are three shipped ones where
            the data is the one that they were trained on, and None does without.
        interface: the model's scaling, output and rubbish class; by default they are found out.
        judge_interface: the same for all judges named. Wrap judges that need different ones.
        other_data: images of other things, of the same shape: garbage to this model.
        settings: how much to do: `QUICK`, `THOROUGH`, or settings of your own.
        out: the run folder, from which the same call goes on; by default nothing is kept but the
            result. `audit.json` is written there.
        budget: seconds for this call, after which what was found so far is given.
        trust: open files of formats that can run code.
        task: shows progress: called with a description, gives a context manager whose value takes
            (done, total).

    Returns:
        A `Report`, the content of `audit.json`. It says whether it is complete, and lists the parts
        that failed because the model raised an error.

    Raises:
        InputError: when the model, a judge or the data cannot be used, or the folder holds an audit
            with other settings, or its model or judges have changed.
        WriteError: when the folder is not writable or the disk is full.
    """
    if budget is not None:
        checks.open_interval("budget", budget, 0, float("inf"))
    ends = None if budget is None else time.perf_counter() + budget
    data = data if isinstance(data, Dataset) else load_data(data)
    settings.check(data.image_shape)
    if other_data is not None and not isinstance(other_data, Dataset):
        other_data = load_data(other_data, any_labels=True)
    if other_data is not None and other_data.image_shape != data.image_shape:
        raise InputError(
            f"other_data: expected images of shape {data.image_shape} as the data's, "
            f"got {other_data.image_shape}"
        )
    subject = meet(load_model(model, trust=trust), data, interface)
    chosen = [] if judge is None else [*judge] if isinstance(judge, list | tuple) else [judge]
    judges, notes = meet_judges(chosen, subject, data, judge_interface, trust=trust)
    seats = [AUTO]
    if chosen != seats:
        seats = [_spec(each, seat) for each, seat in zip(chosen, judges, strict=True)]
    asked = {
        "model": _spec(model, subject),
        "interface": as_json(interface),
        "judges": seats,
        "judge_interface": as_json(judge_interface),
    }

    def begin(folder: Path) -> Report:
        audited = _Audit(subject, data, judges, other_data, settings, folder, asked)
        return audited.go_on(ends, task or _silent, notes)

    if out is not None:
        return begin(Path(out))
    with _temporary() as folder:
        return begin(Path(folder))


def _temporary() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory()
    except OSError as error:
        raise WriteError(
            f"out: expected a run folder or a writable temporary folder; {error.strerror}"
        ) from error


@contextmanager
def _silent(description: str) -> Iterator[Tick]:
    yield lambda done, total, note="": None


def _spec(model: Model, subject: Subject) -> str:
    """What a model is called in settings and commands."""
    return str(model) if isinstance(model, str | Path) else subject.name


class _Audit:
    """One audit, and the folder that it goes to and goes on from."""

    def __init__(
        self,
        subject: Subject,
        data: Dataset,
        judges: tuple[Subject, ...],
        other_data: Dataset | None,
        settings: AuditSettings,
        folder: Path,
        asked: Row,
    ) -> None:
        self.subject, self.data, self.judges = subject, data, judges
        self.other_data = other_data
        described = {
            "audit": VERSION,
            **asked,
            "data": data.folder.name,
            "data_checksum": data.checksum,
            "other_data": None if other_data is None else other_data.folder.name,
            "other_data_checksum": None if other_data is None else other_data.checksum,
        }
        self.run = Run(folder, described | settings.model_dump(mode="json"), AUDIT)
        models = [identity_of(subject, data, "the model")]
        models += [identity_of(each, data, f"judge {each.name}") for each in judges]
        recognise(self.run, models)
        self.measurements = Measurements(subject, data, judges, other_data, settings, self.run)

    def go_on(self, ends: float | None, task: Task, notes: list[str]) -> Report:
        """Do what is missing, for as long as there is time, and write `audit.json`."""
        parts = self.measurements.parts()
        if self.run.row(part="subject") is None:
            self.run.add({"part": "subject"} | self._about(notes) | {"plan": _plan(parts)})
        try:
            for part in parts:
                if self.run.row(part=part.name) is not None:
                    continue
                with task(part.words) as report:
                    done = self._once(part, _watching(ends, report))
                if not done and part.name == "clean":
                    break  # everything else is measured against it
        except _OutOfTime:
            pass  # `write_audit` names the parts that are missing
        finally:
            found = write_audit(self.run)
        return found

    def _once(self, part: Part, tick: Tick) -> bool:
        """Do a part and add its row; where the model fails, add a row that says so instead."""
        started = time.perf_counter()
        try:
            tick(0, 1)
            row = part.do(tick)
        except (_OutOfTime, KeyboardInterrupt, WriteError, DamageError):
            raise  # none of these is the model's fault
        except BaseException as error:  # a user's model may raise anything, and call sys.exit
            said = str(error) if isinstance(error, InputError) else repr(error)
            self.run.add({"part": "failure", "of": part.name, "reason": said.splitlines()[0]})
            return False
        seconds = round(time.perf_counter() - started, 2)
        self.run.add({"part": part.name} | row | {"seconds": seconds})
        return True

    def _about(self, notes: list[str]) -> Row:
        subject, loaded = self.subject, self.subject.loaded
        about: dict[str, Any] = {
            "name": subject.name,
            "format": loaded.format,
            "white_box": subject.module is not None,
            "n_outputs": subject.n_outputs,
            "rubbish_class": subject.rubbish_class,
            "image_shape": list(subject.image_shape),
            **as_json(subject.scaling),
            "output": loaded.output,
            "answers": subject.answers,
            "fingerprint": loaded.fingerprint,
            "training_seconds": loaded.training_seconds,
        }
        data = {
            "name": self.data.folder.name,
            "checksum": self.data.checksum,
            "n_classes": self.data.n_classes,
            "validation_images": len(self.data.validation),
            "test_images": len(self.data.test),
            "other_data": None if self.other_data is None else self.other_data.folder.name,
        }
        judges = [{"name": each.name} | as_json(each.scaling) for each in self.judges]
        said = [*subject.notes, *notes, *self._not_applicable()]
        about_it = {"model": about, "data": data, "judges": judges, "again": self._again()}
        return about_it | {"warnings": self._cautions(), "notes": said}

    def _cautions(self) -> list[str]:
        """The warnings known before anything is measured."""
        said = [f"Judge {each.name}: {word}" for each in self.judges for word in each.warnings]
        return [*self.subject.warnings, *said]

    def _again(self) -> Row:
        """The arguments of `assemble.command` besides the settings."""
        models, other = (self.subject, *self.judges), self.other_data
        return {
            "data": None if self.data.checksum == MNIST.checksum else str(self.data.folder),
            "other_data": None if other is None else str(other.folder),
            "trust": any(each.loaded.format in WANT_TRUST for each in models),
        }

    def _not_applicable(self) -> list[str]:
        said = []
        if not self.measurements.surrogates:
            said.append(
                "Fooling images of the shipped networks were not tried on it, since those read "
                "MNIST's digits alone."
            )
        if self.subject.module is None:
            said.append("It is a black box: it was searched, and no gradient was followed.")
        return said


def _watching(ends: float | None, report: Tick) -> Tick:
    """Progress that looks at the clock: `_OutOfTime` when the budget is spent."""

    def tick(done: float, total: float, note: str = "") -> None:
        report(done, total, note)
        if ends is not None and time.perf_counter() > ends:
            raise _OutOfTime

    return tick


def _plan(parts: list[Part]) -> Mapping[str, str]:
    return {part.name: part.words for part in parts}
