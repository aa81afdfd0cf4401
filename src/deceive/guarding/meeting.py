"""A classifier that is to be guarded meets the data."""

from dataclasses import dataclass
from pathlib import Path

from deceive.auditing.budget import Budget
from deceive.auditing.models.interface import Interface, as_json
from deceive.auditing.models.loaded import AnyModel
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.subject import Subject
from deceive.auditing.opening import Place, declared, fitting, loaded_model
from deceive.auditing.scheduling import first_look
from deceive.data.dataset import RealData
from deceive.data.preparation import Preparation
from deceive.data.sampling import SampledData
from deceive.guarding.guards import Choice
from deceive.guarding.settings import GuardSettings
from deceive.storage.kinds import Row


@dataclass(frozen=True, eq=False)
class Met:
    """A classifier that has met the data."""

    subject: Subject
    data: RealData
    """Prepared for it."""
    preparation: Preparation
    interface: Interface
    """What was declared about it."""
    spec: str | None
    """Where it is; None for an object."""


def met_with(
    model: AnyModel,
    data: Place,
    interface: Interface,
    settings: GuardSettings,
    seconds: float | None,
    *,
    trust: bool,
) -> Met:
    """A classifier, after its first run on the data.

    Args:
        model: what `audit` takes.
        data: real images, or where they are.
        interface: what is declared about the model.
        settings: the seed of the sample that it is tried on.
        seconds: the budget of an audit; a slow model is asked less.
        trust: open files of formats that can run code.

    Raises:
        InputError: when either can't be used.
    """
    loaded, real, preparation = fitting(
        loaded_model(model, interface, trust=trust), data, interface
    )
    before = first_look(loaded, real, Budget(seconds))
    some = SampledData.of(real).at_most(settings.seed, before.validation, train=before.train)
    subject = meet(loaded, some, declared(interface, loaded), thorough=before.thorough)
    spec = str(model) if isinstance(model, str | Path) else None
    return Met(subject, real, preparation, interface, spec)


def run_settings(met: Met, settings: GuardSettings, choice: Choice) -> Row:
    """What `settings.json` holds."""
    return {
        "model": met.spec or met.subject.name,
        "interface": as_json(met.interface),
        "data": met.data.folder.name,
        "data_checksum": met.data.checksum,
        "use": None if choice.given is None else str(choice.given),
        "train": choice.train,
        **settings.model_dump(mode="json"),
    }
