"""Some real images and a classifier's answers to them, by which it is known again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deceive.auditing.models.sameness import agree, answers_of
from deceive.auditing.models.subject import Subject
from deceive.common.arrays import Arrays, read_arrays, write_arrays
from deceive.common.errors import InputError
from deceive.common.levels import from_levels, to_levels
from deceive.data.dataset import Dataset, RealData, Split
from deceive.guarding.card import GuardedCard

# The most images to keep, and the most values in them.
_IMAGES, _VALUES = 32, 8_000_000

# How much one network's answers may differ from machine to machine (`identity`).
_ROUNDING = 1e-4

_LAYOUT = {
    "levels": "levels N C H W",
    "labels": "classes N",
    "real?": "scores M N K",
    "noise?": "scores M L K",
}


def save_sample(folder: Path, subject: Subject, data: RealData) -> None:
    """Keep some of the validation images, and the classifier's answers to them and to noise."""
    split = data.validation
    count = max(4, min(_IMAGES, _VALUES // split.read(slice(1)).numel()))
    places = torch.linspace(0, len(split) - 1, min(count, len(split))).long()
    levels, labels = to_levels(split.read(places)), split.labels[places]
    known = _dataset(levels, labels, data.class_names, data.checksum, data.folder)
    answers = answers_of(subject, known, len(levels))
    arrays: Arrays = {"levels": levels.numpy(), "labels": labels.numpy()}
    arrays |= {half: values.numpy() for half, values in answers.items()}
    write_arrays(_path(folder), **arrays)


def read_sample(folder: Path, card: GuardedCard) -> tuple[Dataset, dict[str, Tensor]]:
    """The images that `save_sample` kept, as data, and the answers.

    Raises `InputError` when they are missing, damaged or not of this card.
    """
    arrays = read_arrays(_path(folder), _LAYOUT)
    levels, labels = torch.from_numpy(arrays["levels"]), torch.from_numpy(arrays["labels"])
    names = card.class_names
    if tuple(levels.shape[1:]) != card.image_shape or int(labels.max()) >= len(names):
        raise InputError(f"{_path(folder)}: expected images of the card beside it, got others")
    answers: dict[str, Tensor] = {
        half: torch.from_numpy(arrays[half].astype(np.float32))
        for half in ("real", "noise")
        if half in arrays
    }
    return _dataset(levels, labels, names, card.data_checksum, Path(card.data)), answers


def check_same(subject: Subject, data: RealData, answers: Mapping[str, Tensor], name: str) -> None:
    """Raise `InputError` unless a classifier answers as the one that was guarded did.

    Args:
        subject: the classifier.
        data: the images kept, from `read_sample`.
        answers: those of the classifier that was guarded.
        name: what that was called.
    """
    now = answers_of(subject, data, len(data.test))
    if not all(half in now and agree(now[half], answers[half], _ROUNDING) for half in answers):
        raise InputError(
            f"model: expected the classifier that was guarded, {name}, got one that answers "
            "differently; guard it in another folder, or start over with --fresh"
        )


def _path(folder: Path) -> Path:
    return folder / "arrays" / "sample.npz"


def _dataset(
    levels: Tensor, labels: Tensor, class_names: Sequence[str], checksum: str, folder: Path
) -> Dataset:
    split = Split(from_levels(levels), labels)
    return Dataset(
        train=split,
        validation=split,
        test=split,
        n_classes=len(class_names),
        checksum=checksum,
        folder=folder,
        class_names=tuple(class_names),
    )
