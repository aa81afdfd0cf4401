"""Deceive an image classifier with static, teach it that this was rubbish, deceive it again."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deceive.auditing import AuditSettings as AuditSettings
    from deceive.auditing import Interface as Interface
    from deceive.auditing import Scaling as Scaling
    from deceive.auditing import audit as audit
    from deceive.certifying.core import Certificate as Certificate
    from deceive.certifying.core import certify as certify
    from deceive.common.errors import InputError as InputError
    from deceive.data.dataset import Dataset as Dataset
    from deceive.data.dataset import Split as Split
    from deceive.data.given import as_data as as_data
    from deceive.data.loading import load_data as load_data
    from deceive.data.opening import open_data as open_data
    from deceive.data.preparation import Preparation as Preparation
    from deceive.fooling.ascent import Ascent as Ascent
    from deceive.fooling.ascent import Schedule as Schedule
    from deceive.fooling.climb import climb as climb
    from deceive.fooling.drawing import POLISH as POLISH
    from deceive.fooling.drawing import SOFT_POLISH as SOFT_POLISH
    from deceive.fooling.drawing import draw as draw
    from deceive.fooling.fool import fool as fool
    from deceive.fooling.result import FoolingResult as FoolingResult
    from deceive.guarding import GuardedModel as GuardedModel
    from deceive.guarding import GuardSettings as GuardSettings
    from deceive.guarding import guard as guard
    from deceive.guarding import load_guarded as load_guarded
    from deceive.judging.measures import agreement as agreement
    from deceive.networks.classifier import Classifier as Classifier
    from deceive.networks.coarse_to_fine import CoarseToFine as CoarseToFine
    from deceive.networks.guarded import Guarded as Guarded
    from deceive.networks.inference import accuracy as accuracy
    from deceive.storage.export import export_onnx as export_onnx
    from deceive.storage.models import load_card as load_card
    from deceive.storage.models import load_network as load_network
    from deceive.storage.models import save_network as save_network
    from deceive.storage.stepping import export_training_step as export_training_step
    from deceive.teaching import PRESETS as PRESETS
    from deceive.teaching import EmergingSettings as EmergingSettings
    from deceive.teaching import ResistingSettings as ResistingSettings
    from deceive.teaching import RetrainingSettings as RetrainingSettings
    from deceive.teaching import RoundsSettings as RoundsSettings
    from deceive.teaching import UnitingSettings as UnitingSettings
    from deceive.teaching import preset_for as preset_for
    from deceive.teaching import rounds as rounds
    from deceive.training.fit import fit as fit
    from deceive.training.rubbish import RubbishSet as RubbishSet
    from deceive.training.settings import TrainingSettings as TrainingSettings

from deceive.common.version import __version__ as __version__

# Where each public name lives. Looked up on first use, so that `import deceive` is quick.
_HOMES = {
    "auditing": ("AuditSettings", "Interface", "Scaling", "audit"),
    "certifying.core": ("Certificate", "certify"),
    "common.errors": ("InputError",),
    "data.dataset": ("Dataset", "Split"),
    "data.given": ("as_data",),
    "data.loading": ("load_data",),
    "data.opening": ("open_data",),
    "data.preparation": ("Preparation",),
    "fooling.climb": ("climb",),
    "fooling.drawing": ("POLISH", "SOFT_POLISH", "draw"),
    "fooling.fool": ("fool",),
    "fooling.result": ("FoolingResult",),
    "fooling.ascent": ("Ascent", "Schedule"),
    "guarding": ("GuardSettings", "GuardedModel", "guard", "load_guarded"),
    "judging.measures": ("agreement",),
    "networks.classifier": ("Classifier",),
    "networks.coarse_to_fine": ("CoarseToFine",),
    "networks.guarded": ("Guarded",),
    "networks.inference": ("accuracy",),
    "storage.export": ("export_onnx",),
    "storage.stepping": ("export_training_step",),
    "storage.models": ("load_card", "load_network", "save_network"),
    "teaching": (
        "PRESETS",
        "EmergingSettings",
        "ResistingSettings",
        "RetrainingSettings",
        "RoundsSettings",
        "UnitingSettings",
        "preset_for",
        "rounds",
    ),
    "training.fit": ("fit",),
    "training.rubbish": ("RubbishSet",),
    "training.settings": ("TrainingSettings",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


# Packages whose own public names are used as `deceive.auditing.Gate`.
_PACKAGES = ("auditing", "guarding")


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"deceive.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'deceive' has no attribute {name!r}")
    return getattr(import_module(f"deceive.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
