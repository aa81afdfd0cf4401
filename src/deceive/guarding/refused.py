"""Some real images that a guarded classifier doesn't pass: what the guard costs, to be seen."""

from pathlib import Path

import torch
from torch import Tensor

from deceive.common.arrays import Arrays, read_arrays, write_arrays
from deceive.common.levels import to_levels
from deceive.data.dataset import Labelled
from deceive.guarding.card import GuardedCard
from deceive.guarding.model import GuardedModel
from deceive.networks.inference import batch_for
from deceive.storage.places import is_there

# How many refused images are kept, and among how many real images to look for them.
_KEPT, _ASKED = 10, 1000

_LAYOUT = {
    "levels": "levels N C H W",
    "labels": "classes N",
    "alone": "classes N",
    "alone_confidence": "shares N",
    "answers": "classes N",
    "confidence": "shares N",
    "none_of_these?": "shares N",
}


def save_refused(folder: Path, model: GuardedModel, split: Labelled, alone: Tensor) -> None:
    """Keep the first real images of a split that don't pass, with the answers to them.

    Args:
        folder: of the guarded classifier.
        model: the guarded classifier.
        split: real images.
        alone: (N, K), what the classifier alone says about the first N of them.
    """
    parts: dict[str, list[Tensor]] = {name.rstrip("?"): [] for name in _LAYOUT}
    found, batch = 0, min(100, batch_for(model.image_shape))
    for first in range(0, min(_ASKED, len(alone)), batch):
        if found >= _KEPT:
            break
        images = split.read(slice(first, min(first + batch, len(alone))))
        said = model.answer(images)
        chosen = (~said.passes).nonzero()[: _KEPT - found, 0]
        sure, answers = alone[first : first + len(images)][chosen].softmax(1).max(1)
        parts["levels"].append(to_levels(images[chosen]))
        parts["labels"].append(split.labels[first : first + len(images)][chosen])
        parts["alone"].append(answers)
        parts["alone_confidence"].append(sure)
        parts["answers"].append(said.classes[chosen])
        parts["confidence"].append(said.confidence[chosen])
        parts["none_of_these"].append(said.none_of_these[chosen])
        found += len(chosen)
    write_arrays(_path(folder), **{name: torch.cat(each).numpy() for name, each in parts.items()})


def load_refused(folder: Path, card: GuardedCard) -> Arrays | None:
    """What `save_refused` kept; None if nothing was.

    Raises `InputError` when it is damaged, or not of this card.
    """
    if not is_there(_path(folder)):
        return None
    sizes = dict(zip("CHW", card.image_shape, strict=True))
    return read_arrays(_path(folder), _LAYOUT, K=len(card.class_names), **sizes)


def _path(folder: Path) -> Path:
    return folder / "arrays" / "refused.npz"
