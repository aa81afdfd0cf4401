"""The presets of the rounds, files that change them, and the command that plays them."""

from pathlib import Path

from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.files import read_json
from deceive.common.flags import command_line, flags_of
from deceive.teaching.settings import (
    EmergingSettings,
    ResistingSettings,
    RetrainingSettings,
    RoundsSettings,
    UnitingSettings,
    renewed,
)

PRESETS: dict[str, RoundsSettings] = {
    "draw": EmergingSettings(),
    "resist": ResistingSettings(),
    "study": RetrainingSettings(),
    "one": UnitingSettings(),
}
"""With `draw` digits emerge; `resist` makes a classifier that gibberish hardly deceives; `study` is
the case study's own procedure; `one` makes a network that reads, resists and draws of three."""


def changed(settings: RoundsSettings, path: Path | None) -> RoundsSettings:
    """Settings, with some values replaced by those in a JSON file; unchanged if `path` is None.

    Raises `InputError` if it isn't such a file, and pydantic's `ValidationError` for its values.
    """
    if path is None:
        return settings
    given = renewed(read_json(path, "a JSON object of settings", streams=True))
    usual = settings.model_dump()
    if given.get("kind", usual["kind"]) != usual["kind"]:
        raise InputError(
            f"{path}: expected settings for {usual['kind']} rounds, like the preset, got "
            f"settings for {checks.shown(given['kind'])} rounds"
        )
    ascent = getattr(settings, "ascent", None)
    if ascent is not None and isinstance(given.get("ascent"), dict):
        given = given | {"ascent": ascent.settings_with(given["ascent"])}
    return type(settings).model_validate(usual | given)


def command_of(settings: RoundsSettings) -> str:
    """The command that plays these rounds, from the same data."""
    preset = next(name for name, usual in PRESETS.items() if type(usual) is type(settings))
    return command_line("rounds", "--preset", preset, *flags_of(settings, PRESETS[preset]))
