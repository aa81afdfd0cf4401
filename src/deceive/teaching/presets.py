"""The presets of the rounds, files that change them, and the command that plays them."""

from pathlib import Path

import torch
import torch.nn.functional as F

from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.files import read_json
from deceive.common.flags import command_line, flags_of
from deceive.data.again import data_flags
from deceive.data.dataset import Dataset, Images
from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import DRAWING
from deceive.teaching.settings import (
    EmergingSettings,
    ResistingSettings,
    RetrainingSettings,
    RoundsSettings,
    UnitingSettings,
    renewed,
)

# For grey and colour. Digits end in black and white, where a bound wipes the grain of a step's sign
# away; these don't. So candidates begin as clouds, their steps leave out what the noise hides, and
# the network is led to real images. Chosen on validation images (docs/laboratory/fashion.md).
_PAINT = EmergingSettings(
    network="paint",
    rounds=16_000,
    kept=2000,
    learning_rate=6e-4,
    start="smooth",
    leading=1,
    ascent=Ascent(
        rule="normalised",
        momentum=0,
        step_size=0.085,
        noise=0.7,
        softness=3,
        schedule=DRAWING.schedule,
    ),
)

PRESETS: dict[str, RoundsSettings] = {
    "draw": EmergingSettings(),
    "paint": _PAINT,
    "resist": ResistingSettings(),
    "study": RetrainingSettings(),
    "one": UnitingSettings(),
}
"""With `draw` digits emerge, and with `paint` images in grey or colour; `resist` makes a classifier
that gibberish hardly deceives; `study` is the case study's own procedure; `one` makes a network
that reads, resists and draws of three."""

# The least share of grey areas in images that `paint` suits: MNIST has 0%, scikit-learn's 8×8
# digits 0.2%, Fashion-MNIST 23%, CIFAR-10 76% (docs/laboratory/fashion.md).
_GREY = 0.05


def preset_for(images: Images) -> str:
    """The preset that makes such images emerge: `paint` in grey or colour, else `draw`.

    It looks at up to 200 of them. They are in grey or colour if more than one value in twenty lies
    in an area of grey: it and its neighbours in 3×3 pixels are between 0.1 and 0.9. The soft edges
    of black and white are no such areas.

    >>> import deceive
    >>> deceive.preset_for(deceive.load_data().validation)
    'draw'
    """
    some = images.read(torch.linspace(0, len(images) - 1, min(len(images), 200)).long())
    extreme = ((some < 0.1) | (some > 0.9)).float()
    near_one = F.max_pool2d(extreme, 3, stride=1, padding=1)
    return "paint" if 1 - near_one.mean() > _GREY else "draw"


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


def command_of(settings: RoundsSettings, data: Dataset | None = None) -> str:
    """The command that plays these rounds, on these images or, by default, on MNIST."""
    changes = {
        name: flags_of(settings, usual)
        for name, usual in PRESETS.items()
        if type(usual) is type(settings)
    }
    nearest = min(changes, key=lambda name: len(changes[name]))
    read = [] if data is None else data_flags(data)
    return command_line("rounds", "--preset", nearest, *read, *changes[nearest])
