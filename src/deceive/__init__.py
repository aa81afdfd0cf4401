"""Deceive a digit classifier with static, teach it that this was rubbish, deceive it again."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deceive.auditing import AuditSettings as AuditSettings
    from deceive.auditing import Scaling as Scaling
    from deceive.auditing import audit as audit
    from deceive.data import Dataset as Dataset
    from deceive.data import Split as Split
    from deceive.data import load_data as load_data
    from deceive.drawing import draw as draw
    from deceive.errors import InputError as InputError
    from deceive.export import export_onnx as export_onnx
    from deceive.fooling import FoolingResult as FoolingResult
    from deceive.fooling import fool as fool
    from deceive.inference import accuracy as accuracy
    from deceive.measures import agreement as agreement
    from deceive.models import load_network as load_network
    from deceive.models import save_network as save_network
    from deceive.networks import Classifier as Classifier
    from deceive.rubbish import RubbishSet as RubbishSet
    from deceive.rules import Ascent as Ascent
    from deceive.teaching import RoundsSettings as RoundsSettings
    from deceive.teaching import rounds as rounds
    from deceive.training import TrainingSettings as TrainingSettings
    from deceive.training import fit as fit

__version__ = version("deceive")

# Where each public name lives. Looked up on first use, so that `import deceive` is quick.
_HOMES = {
    "auditing": ("AuditSettings", "Scaling", "audit"),
    "data": ("Dataset", "Split", "load_data"),
    "drawing": ("draw",),
    "errors": ("InputError",),
    "export": ("export_onnx",),
    "fooling": ("FoolingResult", "fool"),
    "inference": ("accuracy",),
    "measures": ("agreement",),
    "models": ("load_network", "save_network"),
    "networks": ("Classifier",),
    "rubbish": ("RubbishSet",),
    "rules": ("Ascent",),
    "teaching": ("RoundsSettings", "rounds"),
    "training": ("TrainingSettings", "fit"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'deceive' has no attribute {name!r}")
    return getattr(import_module(f"deceive.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
