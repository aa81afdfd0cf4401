"""Rounds on `quarters`, small enough that a hundred of them take a second."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from safetensors import safe_open

from deceive.fooling.ascent import Ascent
from deceive.fooling.drawing import DRAWING
from deceive.storage.runs import Run
from deceive.teaching import EmergingSettings, RetrainingSettings

SMALL = EmergingSettings(
    rounds=12,
    candidates=16,
    kept=32,
    shown=(0, 5),
    measured=4,
    judged=0,
    training_images=900,
    ascent=Ascent(**DRAWING.settings_with({"schedule": {"steps": 6}})),
)

LITERAL = RetrainingSettings(
    network="fast",
    rounds=2,
    candidates=40,
    noise_images=100,
    measured=5,
    epochs=4,
    steps=200,
    training_images=900,
)

# The flags of rounds as small.
FLAGS = ["--preset", "draw", "--rounds", "6", "--shown", "0", "3", "--measured", "3"]
FLAGS += ["--candidates", "16", "--kept", "64", "--ascent.schedule.steps", "4"]
FLAGS += ["--training-images", "900"]


@contextmanager
def quiet(description: str) -> Iterator[Callable[..., None]]:
    """A progress bar that says nothing."""
    yield lambda done, total, note="": None


def without_clock(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the seconds that they took."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def checkpoint_digest(run: Run) -> str:
    """All that the next rounds depend on, without the clock: equal for equal runs."""
    with safe_open(run.folder / "checkpoint.safetensors", "pt") as stored:
        digest = hashlib.sha256()
        for name in sorted(stored.keys()):
            digest.update(name.encode() + stored.get_tensor(name).numpy().tobytes())
    return digest.hexdigest()
