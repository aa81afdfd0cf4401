"""Schemas of a study's results: rows, galleries and a filmstrip."""

from typing import Literal

from pydantic import Field

from deceive.common.arrays import CANDIDATES, Arrays, Layout
from deceive.common.checks import Count, Share
from deceive.storage.kinds import Kind, RowSchema
from deceive.storage.runs import Run
from deceive.study.settings import StudySettings


class _Settings(StudySettings):
    data_checksum: str | None = None


class _Part(RowSchema):
    seconds: float = Field(ge=0)


class _Classifier(_Part):
    network: str
    validation_accuracy: Share
    test_accuracy: Share


class _Fooling(_Part):
    candidates: Count = Field(ge=1)
    start: str
    confidence: Share
    fooling_rate: Share
    median_steps: float | None = Field(ge=0)
    judge_agreement: Share
    chance: Share


class _Rubbish(_Fooling):
    stage: Literal[1, 2]
    name: str
    rubbish_images: Count
    test_accuracy: Share
    test_accuracy_digits: Share
    caught: Share
    caught_all: Share


_ROWS: dict[str, type[RowSchema]] = {
    "classifier": _Classifier,
    "fooling": _Fooling,
    "rubbish": _Rubbish,
    "done": _Part,
}

STUDY = Kind(
    "study", "a study", _Settings, lambda _, row: [_ROWS[k] for k in _ROWS if k == row.get("part")]
)

FILMSTRIP: Layout = {
    "levels": "levels S C H W",
    "confidence": "shares S",
    "target": "counts",
}
"""The filmstrip's arrays: S images on the way, and what each is taken for."""

_READ: Layout = {"predicted": "counts N", "predicted_confidence": "shares N"}


def load_gallery(run: Run, name: str, **sizes: int) -> Arrays:
    """The arrays of one of the study's galleries, an image per class.

    Args:
        run: a study.
        name: the gallery's.
        sizes: known sizes of `arrays.CANDIDATES`' letters.

    Raises:
        InputError: when they are missing, damaged, or don't match.
    """
    read = _READ if name == "improved_model_predictions" else {}
    return run.load_arrays(name, {**CANDIDATES, **read}, **sizes)
