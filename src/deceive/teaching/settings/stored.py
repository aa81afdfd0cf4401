"""Reading settings from files, of any kind and version."""

from typing import Any

from deceive.common import checks
from deceive.teaching.settings.base import RoundsSettings
from deceive.teaching.settings.emerging import EmergingSettings
from deceive.teaching.settings.resisting import ResistingSettings
from deceive.teaching.settings.retraining import RetrainingSettings
from deceive.teaching.settings.uniting import UnitingSettings

KINDS: dict[str, type[RoundsSettings]] = {
    "emerging": EmergingSettings,
    "resisting": ResistingSettings,
    "retraining": RetrainingSettings,
    "uniting": UnitingSettings,
}

# One class once held the settings of all kinds; these three fields tell them apart.
_TOLD_APART = {"kept", "restarted", "epochs"}


def read_settings(stored: dict[str, Any], where: str) -> RoundsSettings:
    """Settings from JSON, of the kind that they name; also as earlier versions wrote them.

    Args:
        stored: what `model_dump(mode="json")` gave. Nothing is converted, such as text to numbers.
        where: the path or name for the error's sentence.

    Raises:
        InputError: if it is no such object, or a value is wrong.

    >>> read_settings({"kind": "retraining", "rounds": 2}, "here").network
    'study'
    """
    today = renewed(stored)
    kind = today.get("kind")
    checks.one_of(f"{where}: kind of rounds", kind, KINDS)
    return checks.fits(KINDS[str(kind)], today, where, f"settings of {kind} rounds", strict=True)


def renewed(given: dict[str, Any]) -> dict[str, Any]:
    """Settings as earlier versions wrote them, one class for all kinds, in today's form.

    What their kind ignored is left out; settings of today come back as they are.

    >>> old = {"rounds": 2, "kept": None, "restarted": None, "epochs": 5, "clean_digits": 64}
    >>> renewed(old)
    {'kind': 'retraining', 'rounds': 2, 'epochs': 5}
    """
    if "kind" in given or not given.keys() >= _TOLD_APART:
        return given
    kind = "emerging" if given["restarted"] is None else "resisting"
    if given["epochs"] is not None:
        kind = "retraining"
    ascent = given.get("ascent")
    if kind == "resisting" and isinstance(ascent, dict):
        given = given | {name: ascent[name] for name in ("step_size", "momentum") if name in ascent}
    fields = {name: each.model_fields.keys() for name, each in KINDS.items()}
    ignored = set().union(*fields.values()) - fields[kind]
    if given.get("confidence") is not None:  # it was never ignored
        ignored -= {"confidence"}
    return {"kind": kind} | {name: value for name, value in given.items() if name not in ignored}
