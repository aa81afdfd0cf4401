"""The folder of an audit → its `audit.json`. Reads what is stored, and asks no model."""

from pydantic import ValidationError

from deceive.auditing.guessing import reads_nothing
from deceive.auditing.record.advice import advise
from deceive.auditing.record.again import command_of
from deceive.auditing.record.described import Judge
from deceive.auditing.record.measured import Failure, Headline
from deceive.auditing.record.outcomes import (
    attacks_of,
    headlines_of,
    stored_outcomes,
    without_gradient,
)
from deceive.auditing.record.rows import (
    AUDIT,
    AuditRow,
    CertificateRow,
    CleanRow,
    FailureRow,
    GarbageRow,
    ResemblanceRow,
    SubjectRow,
    attacked_in,
    followed_in,
    typed_rows,
)
from deceive.auditing.record.schema import VERSION, AuditReport, write_report
from deceive.auditing.record.stored import sizes_of
from deceive.auditing.settings import AuditSettings
from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.version import __version__
from deceive.storage.kinds import Row
from deceive.storage.runs import Run


def write_audit(run: Run) -> AuditReport:
    """Write `audit.json` in the run folder from what is there, finished or not, and give it back.

    Raises `InputError` when the folder holds no audit, or a file of it is damaged.
    """
    report = assemble(run)
    write_report(run.folder / "audit.json", report)
    return report


def assemble(run: Run) -> AuditReport:
    """Everything that an audit has found so far.

    Raises `InputError` when the folder holds no audit, or one of another version of this package.
    """
    if run.word != AUDIT.word:
        raise InputError(f"{run.folder}: expected the folder of an audit, found another run's")
    if (version := run.settings.get("audit")) != VERSION:
        raise InputError(
            f"{run.folder}: expected an audit of schema version {VERSION}, got version "
            f"{version!r}; choose another folder, or start over with --fresh"
        )
    rows = typed_rows(run)
    subject = next((row for row in rows if isinstance(row, SubjectRow)), None)
    if subject is None:
        raise InputError(f"{run.folder}: expected the audited model's row, got none")
    try:
        return _assembled(run, rows, subject)
    except (KeyError, ValidationError) as error:
        said = (
            checks.in_words(error.errors()[0])
            if isinstance(error, ValidationError)
            else repr(error)
        )
        raise InputError(
            f"{run.folder}: expected consistent rows of one audit, got inconsistent ones ({said})"
        ) from error


def _assembled(run: Run, rows: list[AuditRow], subject: SubjectRow) -> AuditReport:
    missing, failures = _undone(rows, subject)
    sizes = sizes_of(subject.model.image_shape, subject.data.n_classes)
    stored = [(each, stored_outcomes(run, each, sizes)) for each in attacked_in(run)]
    headlines = headlines_of(stored)
    clean = next((row for row in rows if isinstance(row, CleanRow)), None)
    garbage = [row.garbage for row in rows if isinstance(row, GarbageRow)]
    limits = clean.limits if clean else []
    proof = next((row.certificate for row in rows if isinstance(row, CertificateRow)), None)
    likeness = next((row for row in rows if isinstance(row, ResemblanceRow)), None)
    return AuditReport(
        deceive=__version__,
        command=_command(run.settings, subject),
        complete=not missing and not failures,
        missing=missing,
        failures=failures,
        warnings=_warnings(rows, clean, headlines, subject.data.n_classes),
        notes=[*(clean or subject).noticed, *subject.notes],
        model=subject.model,
        data=subject.data,
        judges=_judges(subject.judges, clean),
        judge_accuracy=clean.judge_accuracy if clean else None,
        settings=AuditSettings(**{name: run.settings[name] for name in AuditSettings.model_fields}),
        planned=subject.planned.settings,
        reductions=subject.planned.reductions,
        clean=clean.clean if clean else None,
        thresholds=clean.thresholds if clean else [],
        headlines=headlines,
        attacks=attacks_of(stored),
        curves=[each.curve for each in followed_in(run)],
        garbage=garbage,
        limits=limits,
        advice=advise(limits, garbage),
        resemblance=likeness.resemblance if likeness else None,
        certificate=proof,
        seconds=round(sum(row.seconds for row in rows), 2),
    )


def _undone(rows: list[AuditRow], subject: SubjectRow) -> tuple[list[str], list[Failure]]:
    """What is left to do, each once and in words, and what failed."""
    done = {row.part for row in rows}
    failed = {
        row.of: row.reason for row in rows if isinstance(row, FailureRow) and row.of not in done
    }
    left = dict.fromkeys(
        words for name, words in subject.plan.items() if name not in done and name not in failed
    )
    if "clean" in failed:
        left = {}  # everything else needs it, so more time would not help
    failures = [Failure(part=subject.plan[of], reason=said) for of, said in failed.items()]
    return list(left), failures


def _warnings(
    rows: list[AuditRow], clean: CleanRow | None, headlines: list[Headline], n_classes: int
) -> list[str]:
    """Each once; those about real images first, for there the model may read nothing."""
    first = sorted(rows, key=lambda row: not isinstance(row, CleanRow))
    warnings = [said for row in first for said in row.warnings]
    if not (clean and reads_nothing(clean.clean.accuracy, n_classes)):
        warnings += without_gradient(headlines)
    return list(dict.fromkeys(warnings))


def _command(settings: Row, subject: SubjectRow) -> str:
    """The command that does what was done, whatever time it takes."""
    planned = subject.planned
    command = command_of(settings | planned.settings.model_dump(), subject.again)
    return f"{command} --budget none" if planned.reductions else command


def _judges(judges: list[Judge], clean: CleanRow | None) -> list[Judge]:
    """The judges with their accuracies, as far as they are known."""
    if clean is None:
        return judges
    if len(clean.judge_accuracies) != len(judges):
        raise InputError(
            f"judge_accuracies: expected one for each of {len(judges)} judges, "
            f"got {len(clean.judge_accuracies)}"
        )
    return [
        judge.model_copy(update={"accuracy": accuracy})
        for judge, accuracy in zip(judges, clean.judge_accuracies, strict=True)
    ]
