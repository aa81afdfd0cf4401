"""`audit`: measure how sure a classifier is of garbage, part by part, in a resumable run folder."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

from deceive.auditing.about import run_settings, spec_of, specs_of
from deceive.auditing.beginning import begun
from deceive.auditing.budget import Budget, usual_budget
from deceive.auditing.context import Context
from deceive.auditing.judges import AUTO, meet_judges
from deceive.auditing.models.importing import importable
from deceive.auditing.models.interface import FOUND_OUT, Interface
from deceive.auditing.models.loaded import AnyModel
from deceive.auditing.models.meeting import meet
from deceive.auditing.opening import Place, declared, fitting, loaded_model, opened_like
from deceive.auditing.record.assemble import write_audit
from deceive.auditing.record.rows import AUDIT
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.scheduling import first_look, planned_in
from deceive.auditing.settings import QUICK, AuditSettings
from deceive.auditing.trained_judge import with_trained
from deceive.auditing.working import work
from deceive.common import arguments
from deceive.common.errors import InputError, WriteError
from deceive.common.progress import Task, quiet, silent
from deceive.common.raising import raised
from deceive.data.sampling import SampledData
from deceive.storage.runs import Run


@contextmanager
def contained() -> Iterator[None]:
    """Within the block, `sys.exit` in a model's code is an error and doesn't end the process."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise InputError(
            f"model: expected code that lets the audit finish, got {raised(error)}"
        ) from error


@contained()
@importable()
@arguments.taking(
    judge=arguments.maybe(arguments.models),
    interface=arguments.of("an Interface", Interface),
    class_names=arguments.maybe(arguments.names),
    judge_interface=arguments.of("an Interface", Interface),
    settings=arguments.of("AuditSettings", AuditSettings),
    out=arguments.maybe(arguments.place),
    trust=arguments.flag,
    task=arguments.function,
    tell=arguments.function,
)
def audit(
    model: AnyModel,
    data: Place = None,
    *,
    judge: AnyModel | list[AnyModel] | tuple[AnyModel, ...] | None = AUTO,
    interface: Interface = FOUND_OUT,
    judge_interface: Interface = FOUND_OUT,
    other_data: Place = None,
    class_names: Sequence[str] | None = None,
    settings: AuditSettings = QUICK,
    out: Path | str | None = None,
    budget: Budget | float | Literal["auto"] | None = "auto",
    trust: bool = False,
    task: Task = silent,
    tell: Callable[[str], None] = quiet,
) -> AuditReport:
    """Measure how sure a classifier is of garbage.

    The model is run on garbage that was not optimised, and attacked: along its gradient, if it has
    one, from every kind of start and by several step rules; and as a black box, with images made
    for other networks and by search. The main figure is the gibberish rate: the share of candidates
    that make the model sure of a target that the majority of the judges, other classifiers, don't
    see.

    Args:
        model: an `nn.Module`, a callable from images (N, C, H, W) to outputs (N, K), or where to
            find one: see `formats.load_model`. It isn't changed.
        data: real images of its classes, or where they are: what `as_data` takes; by default
            MNIST. They are brought to the size and the colours that the model takes.
        judge: other models for the same data, one or several; `auto` for three shipped ones, if
            they were trained on this data; `train` for one that is trained on the training images;
            None for no judges.
        interface: the model's scaling, output and rubbish class; by default they are detected.
        judge_interface: the same for all judges given. Wrap judges that need different ones.
        other_data: images of other things, of the same shape: garbage to this model.
        class_names: a name for each of the model's outputs, in their order; instead of the
            interface's `class_names`.
        settings: how much to do: `QUICK`, `THOROUGH`, or your own settings.
        out: the run folder, where the same call can continue and `audit.json` is written; by
            default only the result is returned.
        budget: seconds that it may take: what is not set in `settings` is reduced until it fits.
            By default 120, or no limit if the settings ask for more than `QUICK` in anything; None
            for no limit; or a `Budget` with another clock. A call that takes half as long again
            returns the results so far, with a piece more than before; a run keeps its plan.
        trust: open files of formats that can run code.
        task: shows progress: called with a description, returns a context manager whose value takes
            (done, total).
        tell: called with sentences, before the work begins: how the model is shown images; and,
            where it matters, that it takes longer than the budget, keeps an earlier plan, or is
            already finished.

    Returns:
        An `AuditReport`, the content of `audit.json`. It says whether it is complete, and lists the
        parts that failed because the model raised an error.

    Raises:
        InputError: when the model, a judge or the data cannot be used, or the folder holds an audit
            with other settings, or its model or judges have changed.
        WriteError: when the folder is not writable or the disk is full.

    >>> from pathlib import Path
    >>> import torch
    >>> import deceive
    >>> labels = torch.arange(200) % 2  # dark and bright images
    >>> images = 0.8 * labels[:, None, None, None] + 0.2 * torch.rand(200, 1, 8, 8)
    >>> split = deceive.Split(images, labels)
    >>> data = deceive.Dataset(split, split, split, n_classes=2, checksum="", folder=Path("mine"))
    >>> def model(images):  # the brighter, the surer that it is class 1
    ...     logit = 40 * (images.mean((1, 2, 3)) - 0.5)
    ...     return torch.stack([torch.zeros_like(logit), logit], 1)
    >>> little = deceive.AuditSettings(
    ...     candidates=4, steps=10, curve_candidates=2, searched=2, queries=100, garbage_images=20
    ... )
    >>> report = deceive.audit(model, data, judge=None, settings=little)
    >>> report.complete, report.clean.accuracy
    (True, 1.0)
    """
    limit = _limit(budget, settings)
    if class_names is not None:
        interface = replace(interface, class_names=tuple(class_names))
    earlier = planned_in(out)  # a run keeps the plan that it began with

    # Find out how the model and its judges want their images.
    loaded, real, preparation = fitting(
        loaded_model(model, interface, trust=trust), data, interface
    )
    settings.check(real.image_shape)
    others = opened_like(other_data, real, preparation)
    before = first_look(loaded, real, limit) if earlier is None else earlier.before
    some = SampledData.of(real).at_most(settings.seed, before.validation, train=before.train)
    subject = meet(loaded, some, declared(interface, loaded), thorough=before.thorough)
    if subject.module is None and not settings.searched:
        raise InputError("searched: expected at least 1 for a black box, got 0")
    limit.alive()
    named = [] if judge is None else [*judge] if isinstance(judge, list | tuple) else [judge]
    chosen, trained = with_trained(named, real, out, settings.seed, limit, task)
    judges, notes = meet_judges(chosen, subject, some, judge_interface, trust=trust)
    limit.alive()
    asked = run_settings(
        spec_of(model, subject),
        specs_of(named, judges),
        (interface, judge_interface),
        real,
        others,
        settings,
    )

    # Begin or continue the run, and do the missing parts, while there is time.
    with _folder(out) as folder:
        run = Run(folder, asked, AUDIT)
        for each in trained:
            each.keep(run)
            notes += each.notes
        context = Context(subject, real, judges, settings, run, others)
        context, missing = begun(context, limit, earlier, before, notes, tell)
        try:
            work(context, missing, limit, task)
        finally:
            found = write_audit(run)
    return found


def _limit(budget: Budget | float | str | None, settings: AuditSettings) -> Budget:
    if isinstance(budget, Budget):
        return budget
    return Budget(usual_budget(settings) if isinstance(budget, str) else budget)


@contextmanager
def _folder(out: Path | str | None) -> Iterator[Path]:
    """The run folder, or a temporary one."""
    if out is not None:
        yield Path(out)
        return
    try:
        temporary = tempfile.TemporaryDirectory()
    except OSError as error:
        raise WriteError(
            f"out: expected a run folder or a writable temporary folder; {error.strerror}"
        ) from error
    with temporary as name:
        yield Path(name)
