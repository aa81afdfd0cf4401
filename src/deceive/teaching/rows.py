"""Schemas of a run of rounds: settings, rows and images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from deceive.common.arrays import Arrays, Layout
from deceive.common.checks import Count, Share
from deceive.common.errors import InputError
from deceive.storage.kinds import Kind, Row, RowSchema
from deceive.storage.runs import Run
from deceive.teaching.settings import RoundsSettings, read_settings, renewed

# The arrays shown of a round's measured images, and of those drawn at the end.
_MADE: Layout = {"levels": "levels N C H W", "targets": "classes N"}


class _Round(RowSchema):
    round: Count
    seconds: float = Field(ge=0)
    images: Count
    judge_agreement: Share
    rubbish_caught: Share | None
    validation_accuracy: Share
    test_accuracy: Share


class _Emerging(_Round):
    frechet_distance: float
    density: float
    coverage: Share


class _Resisting(_Round):
    fooling_rate: Share
    gibberish_rate: Share
    median_steps: float | None = Field(ge=0)
    digits_sure: Share


class _Retraining(_Round):
    rubbish_images: Count
    fooling_rate: Share
    median_steps: float | None = Field(ge=0)


class _Uniting(_Emerging):
    fooling_rate: Share
    median_steps: float | None = Field(ge=0)


class _Rollback(RowSchema):
    round: Count
    to: Count
    because: str
    learning_rate: float


class _Quality(RowSchema):
    round: Count
    images: Count
    judge_agreement: Share
    frechet_distance: float
    floor_frechet_distance: float
    density: float
    floor_density: float
    coverage: Share
    floor_coverage: Share
    classification_accuracy_score: Share
    nearest_median: float
    nearest_first_percentile: float
    held_out_nearest_median: float
    held_out_nearest_first_percentile: float
    images_per_second: float


_OF_KIND: dict[str, type[RowSchema]] = {
    "emerging": _Emerging,
    "resisting": _Resisting,
    "retraining": _Retraining,
    "uniting": _Uniting,
}


def _schemas(settings: Row, row: Row) -> Sequence[type[RowSchema]]:
    known: dict[str, type[RowSchema]] = {
        "round": _OF_KIND[renewed(settings)["kind"]],
        "rollback": _Rollback,
        "quality": _Quality,
    }
    return [schema for part, schema in known.items() if part == row.get("part")]


def settings_of(settings: Row, folder: Path) -> RoundsSettings:
    """The settings of a run of rounds in `folder`. Raises `InputError` for another kind of run."""
    own = {name: value for name, value in settings.items() if name != "data_checksum"}
    if renewed(own).get("kind") is None:
        raise InputError(f"{folder}: expected the folder of a run of rounds")
    return read_settings(own, str(folder / "settings.json"))


class _Rounds(Kind):
    def check_settings(self, settings: Row, folder: Path) -> None:
        settings_of(settings, folder)


ROUNDS = _Rounds("rounds", "a run of rounds", RoundsSettings, _schemas)


def load_made(run: Run, name: str, **sizes: int) -> Arrays:
    """The images of a round, or those drawn at the end, equally many per class.

    Args:
        run: a run of rounds.
        name: the arrays'.
        sizes: their C, H and W, if known.

    Raises:
        InputError: when they are missing, damaged, or don't match.
    """
    arrays = run.load_arrays(name, _MADE, **sizes)
    if len(set(np.bincount(arrays["targets"]).tolist())) > 1:
        raise InputError(
            f"{run.folder}: expected equally many images of every class in arrays/{name}.npz, "
            "got different numbers"
        )
    return arrays
