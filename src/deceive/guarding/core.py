"""`guard`: put a guard in front of a classifier, and audit it before and after."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from deceive.auditing.budget import usual_budget
from deceive.auditing.core import audit, contained
from deceive.auditing.judges import AUTO
from deceive.auditing.models.importing import importable
from deceive.auditing.models.interface import FOUND_OUT, Interface, Scaling
from deceive.auditing.models.loaded import AnyModel
from deceive.auditing.opening import Place
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.settings import QUICK, AuditSettings
from deceive.common import arguments
from deceive.common.progress import Task, quiet, silent
from deceive.guarding.asking import heard_from
from deceive.guarding.card import GuardedCard, read_card
from deceive.guarding.detectors import check_detector, detector_for
from deceive.guarding.graph import FILE, made_or_why_not
from deceive.guarding.guards import GUARDS, Choice, check_guard, guard_for
from deceive.guarding.judging import Judges, judges_for
from deceive.guarding.loading import composed
from deceive.guarding.making import fitted
from deceive.guarding.meeting import Met, met_with, run_settings
from deceive.guarding.model import GuardedModel
from deceive.guarding.rows import GUARD
from deceive.guarding.sample import check_same, read_sample
from deceive.guarding.settings import USUAL, GuardSettings
from deceive.guarding.snippet import write_snippet
from deceive.storage.places import holds_run
from deceive.storage.runs import Run

# Behind the guard of MNIST, several networks are asked about each image: it takes longer.
_TIMES = 2


@dataclass(frozen=True, eq=False)
class GuardReport:
    """What `guard` made and found.

    >>> from dataclasses import replace
    >>> import deceive
    >>> digits = deceive.load_data()
    >>> some = deceive.Split(digits.validation.images[:200], digits.validation.labels[:200])
    >>> less = replace(digits, validation=some)
    >>> report = deceive.guard("study", less, out="mine", auditing=None, onnx=False)
    >>> report.folder.name, report.card.set.threshold, report.before is None, report.complete
    ('mine', 0.99, True, True)
    """

    folder: Path
    card: GuardedCard
    """What the guarded classifier is made of."""
    before: AuditReport | None
    """The audit of the classifier; None if it wasn't asked for."""
    after: AuditReport | None
    """The audit of the guarded classifier."""
    graph: Path | None
    """The guarded classifier as one ONNX file."""
    no_graph: str
    """Why there is none; else empty."""

    @property
    def complete(self) -> bool:
        """Whether both audits are, as far as they were asked for."""
        return all(each is None or each.complete for each in (self.before, self.after))


@contained()
@importable()
@arguments.taking(
    interface=arguments.of("an Interface", Interface),
    judge_interface=arguments.of("an Interface", Interface),
    settings=arguments.of("GuardSettings", GuardSettings),
    auditing=arguments.maybe(arguments.of("AuditSettings", AuditSettings)),
    out=arguments.place,
    use=arguments.maybe(arguments.place),
    guards=arguments.place,
    train=arguments.flag,
    trust=arguments.flag,
    onnx=arguments.flag,
    task=arguments.function,
    tell=arguments.function,
)
def guard(
    model: AnyModel,
    data: Place = None,
    *,
    out: Path | str,
    interface: Interface = FOUND_OUT,
    settings: GuardSettings = USUAL,
    use: Path | str | None = None,
    train: bool = False,
    guards: Path | str = GUARDS,
    auditing: AuditSettings | None = QUICK,
    judge: Judges = AUTO,
    judge_interface: Interface = FOUND_OUT,
    other_data: Place = None,
    budget: float | Literal["auto"] | None = "auto",
    trust: bool = False,
    onnx: bool = True,
    task: Task = silent,
    tell: Callable[[str], None] = quiet,
) -> GuardReport:
    """Put a guard in front of a classifier, so that garbage doesn't pass, and measure both.

    The guard settles whether an image shows one of the classes, the classifier which: see
    `Guarded`. A guard is trained once for some data, and serves every classifier of them; for MNIST
    one is shipped.

    Args:
        model: as for `audit`. It isn't changed, and keeps its answers.
        data: real images of its classes, as for `audit`.
        out: the folder to make, where the same call can continue; `load_guarded` loads from it.
        interface: how the model takes images, as for `audit`.
        settings: how the guard is fitted.
        use: a guard to use: a shipped network or a safetensors file, from rounds on this data.
        train: train a guard even if one is shipped for the data.
        guards: the folder in which guards that were trained are kept.
        auditing: how much the audits do; None for no audits.
        judge: as for `audit`; `auto` trains one for data without shipped judges.
        judge_interface: how the judges take images, as for `audit`.
        other_data: images of other things, as for `audit`.
        budget: seconds for the audit with the guard, by default 240; that without does as much.
        trust: open files of formats that can run code.
        onnx: also write classifier and guard as one ONNX file, if that is possible.
        task: shows progress, as for `audit`.
        tell: called with a sentence now and then.

    Raises:
        InputError: when the model or the data can't be used, the guard doesn't fit them, or the
            folder holds something else.
        WriteError: when a folder is not writable or the disk is full.

    >>> from dataclasses import replace
    >>> import deceive
    >>> digits = deceive.load_data()
    >>> some = deceive.Split(digits.validation.images[:200], digits.validation.labels[:200])
    >>> less = replace(digits, validation=some)  # which is quicker
    >>> report = deceive.guard("study", less, out="mine", auditing=None, onnx=False)
    >>> report.card.guard.source, report.card.set.threshold
    ('resist', 0.99)
    """
    folder, seconds = Path(out), _seconds(budget, auditing)
    choice = Choice(given=use, train=train, kept_in=Path(guards))
    met = met_with(model, data, interface, settings, seconds, trust=trust)
    run, guarded = _made(met, settings, choice, folder, task, tell)
    no_graph = _no_graph(run, guarded, met) if onnx else "it wasn't asked for"
    graph = None if no_graph else folder / FILE
    place = guarded if met.spec is None else write_snippet(folder)
    if auditing is None:
        return GuardReport(folder, guarded.card, None, None, graph, no_graph)
    shared = {
        "judge": judges_for(judge, met.data, run, settings.seed, task),
        "judge_interface": judge_interface,
        "other_data": other_data,
        "budget": seconds,
        "task": task,
    }
    tell("Behind the guard:")  # first, since it is slower, and both do as much
    after = audit(
        place,
        met.data if data is not None else None,
        interface=Interface(scaling=Scaling(), rubbish_class=met.data.n_classes),
        settings=_behind(auditing, settings),
        out=folder / "after",
        **shared,
    )
    tell("The classifier alone:")
    before = audit(
        model,
        data,
        interface=interface,
        settings=_as_much(after),
        out=folder / "before",
        trust=trust,
        tell=tell,
        **shared,
    )
    return GuardReport(folder, guarded.card, before, after, graph, no_graph)


def _made(
    met: Met,
    settings: GuardSettings,
    choice: Choice,
    folder: Path,
    task: Task,
    tell: Callable[[str], None],
) -> tuple[Run, GuardedModel]:
    """The run, and the guarded classifier: of an earlier call, or made now."""
    heard = None
    if not holds_run(folder):  # so that a mistake leaves no folder behind
        check_guard(met.data, settings, choice)
        if settings.certified:
            check_detector(met.data, settings, choice.kept_in)
        heard = heard_from(met, settings, task)
    run = Run(folder, run_settings(met, settings, choice), GUARD)
    if run.row(part="guarded") is not None:
        return run, _again(folder, met)
    heard = heard or heard_from(met, settings, task)
    found = guard_for(met.data, settings, choice, task=task, tell=tell)
    tell(f"Guard: {found.source}")
    if settings.certified:
        beside = detector_for(met.data, settings, choice.kept_in, task)
        found = replace(found, detector=beside)
    guarded = fitted(met, heard, found, settings, folder, task)
    run.add({"part": "guarded", "seconds": found.card.seconds, "data": str(met.data.folder)})
    return run, guarded


def _no_graph(run: Run, guarded: GuardedModel, met: Met) -> str:
    """Write the ONNX file, or give the reason why there is none, which the rows keep."""
    why_not = made_or_why_not(run.folder, guarded, met.subject)
    if why_not and run.row(part="graph", reason=why_not) is None:
        run.add({"part": "graph", "reason": why_not})
    return why_not


def _seconds(
    budget: float | Literal["auto"] | None, auditing: AuditSettings | None
) -> float | None:
    if isinstance(budget, str):
        usual = usual_budget(auditing or QUICK)
        return None if usual is None else _TIMES * usual
    return budget


def _behind(auditing: AuditSettings, settings: GuardSettings) -> AuditSettings:
    """How much the audit behind the guard does: what is proved too, if there is a detector."""
    return auditing.model_copy(update={"certify": True}) if settings.certified else auditing


def _as_much(after: AuditReport) -> AuditSettings:
    """How much the audit before does: as much as was planned for the one behind the guard."""
    return AuditSettings(**after.planned.model_dump() | {"certify": False})


def _again(folder: Path, met: Met) -> GuardedModel:
    """The guarded classifier that an earlier call has made.

    Raises `InputError` when the classifier has changed since.
    """
    card = read_card(folder)
    data, answers = read_sample(folder, card)
    check_same(met.subject, data, answers, card.reader.name)
    return composed(folder, card, met.subject)
