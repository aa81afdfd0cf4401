"""An audit's settings and first row, known before anything is measured."""

from pathlib import Path

from deceive.auditing.context import Context
from deceive.auditing.judges import AUTO
from deceive.auditing.models.formats import WANT_TRUST
from deceive.auditing.models.identity import Identity, identity_of
from deceive.auditing.models.interface import Interface, as_json
from deceive.auditing.models.loaded import AnyModel
from deceive.auditing.models.subject import Subject
from deceive.auditing.parts.part import Part
from deceive.auditing.record.described import Data, Judge, Model
from deceive.auditing.record.planned import Planned
from deceive.auditing.record.rows import Again, SubjectRow
from deceive.auditing.record.schema import VERSION
from deceive.auditing.settings import AuditSettings
from deceive.auditing.titles import title_of
from deceive.data.dataset import RealData
from deceive.data.source import MNIST
from deceive.storage.kinds import Row


def run_settings(
    model: str,
    judges: list[str],
    interfaces: tuple[Interface, Interface],
    data: RealData,
    other_data: RealData | None,
    settings: AuditSettings,
) -> Row:
    """What `settings.json` holds; `interfaces` are those of the model and of the judges."""
    return {
        "audit": VERSION,
        "model": model,
        "interface": as_json(interfaces[0]),
        "judges": judges,
        "judge_interface": as_json(interfaces[1]),
        "data": data.folder.name,
        "data_checksum": data.checksum,
        "other_data": None if other_data is None else other_data.folder.name,
        "other_data_checksum": None if other_data is None else other_data.checksum,
        **settings.model_dump(mode="json"),
    }


def spec_of(model: AnyModel, subject: Subject) -> str:
    """What a model is called in settings and commands."""
    return str(model) if isinstance(model, str | Path) else subject.name


def specs_of(judges: list[AnyModel], subjects: tuple[Subject, ...]) -> list[str]:
    """The names of the judges; `auto` stays as it is."""
    if judges == [AUTO]:
        return [AUTO]
    return [spec_of(each, subject) for each, subject in zip(judges, subjects, strict=True)]


def identities_of(context: Context, asked: int) -> list[Identity]:
    """The identities of the audited model and its judges, from `asked` images of each kind."""
    subject, data = context.subject, context.data
    judges = [identity_of(each, data, f"judge {each.name}", asked) for each in context.judges]
    return [identity_of(subject, data, "the model", asked), *judges]


def subject_row(
    context: Context, parts: list[Part], planned: Planned, notes: list[str]
) -> SubjectRow:
    """The first row of an audit; `notes` say what the audit learnt about the judges."""
    subject, judges = context.subject, context.judges
    warnings = [f"Judge {each.name}: {said}" for each in judges for said in each.warnings]
    return SubjectRow(
        part="subject",
        plan={part.name: part.words for part in parts},
        planned=planned,
        noticed=noticed(context.data),
        notes=[*subject.notes, *notes, *_of_the_run(context)],
        warnings=[*subject.warnings, *warnings],
        judges=[
            Judge(name=name, accuracy=None, **as_json(each.scaling))
            for name, each in zip(_titles(context), judges, strict=True)
        ],
        again=_again(context),
        model=_model(subject, title_of(context.run.settings["model"])),
        data=_data(context),
    )


def prepared_in_words(subject: Subject) -> str:
    """How pictures become what the model takes: grey, 28×28, pixels from 0 to 1."""
    loaded, wants = subject.loaded, subject.loaded.wants
    said = [loaded.prepared, str(subject.scaling)]
    if wants.scaling == subject.scaling:
        said.append(f"as {wants.source} says")
    return ", ".join(filter(None, said))


def noticed(data: RealData) -> list[str]:
    """What has been noticed so far while reading the data, in sentences."""
    return [f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in data.notes]


def _model(subject: Subject, title: str) -> Model:
    loaded = subject.loaded
    return Model(
        name=title,
        format=loaded.format,
        white_box=subject.module is not None,
        n_outputs=subject.n_outputs,
        rubbish_class=subject.rubbish_class,
        image_shape=subject.image_shape,
        prepared=prepared_in_words(subject),
        **as_json(subject.scaling),
        output=loaded.output,
        answers=subject.answers,
        fingerprint=loaded.fingerprint,
        training_seconds=loaded.training_seconds,
    )


def _titles(context: Context) -> list[str]:
    """The judges' names."""
    specs = context.run.settings["judges"]
    if specs == [AUTO]:
        return [each.name for each in context.judges]
    return [*map(title_of, specs)]


def _data(context: Context) -> Data:
    data, other = context.data, context.other_data
    return Data(
        name=data.folder.name,
        checksum=data.checksum,
        n_classes=data.n_classes,
        class_names=list(data.class_names),
        validation_images=len(data.validation),
        test_images=len(data.test),
        other_data=None if other is None else other.folder.name,
    )


def _again(context: Context) -> Again:
    other, models = context.other_data, (context.subject, *context.judges)
    return Again(
        data=None if context.data.checksum == MNIST.checksum else str(context.data.folder),
        other_data=None if other is None else str(other.folder),
        trust=any(each.loaded.format in WANT_TRUST for each in models),
    )


def _of_the_run(context: Context) -> list[str]:
    """Notes on where the model ran, and on attacks that it doesn't allow."""
    said = []
    if (where := context.subject.loaded.runs_on) not in ("cpu", "CPUExecutionProvider"):
        said.append(f"It ran on {where}.")
    if context.subject.module is None:
        said.append("It is a black box: the attacks saw only its answers, not its gradient.")
    return said
