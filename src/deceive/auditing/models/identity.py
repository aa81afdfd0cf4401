"""A model's identity: its answers to a fixed batch, and the files it was loaded from.

A name is not enough: the file or the factory's code may have changed since.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.auditing.models.sameness import HALF, agree, answers_of
from deceive.auditing.models.subject import Subject
from deceive.common.errors import InputError
from deceive.common.files import parse_json
from deceive.data.dataset import RealData
from deceive.storage.runs import Run

# How much one network's answers to the same images may differ, as a share of how much its answers
# to different images do. Another number of threads, batch size or processor changes the order of
# sums in float32: 5e-8 for the shipped networks. Half-precision weights make it 3e-4, pixels
# rounded to 8 bits inside the model 8e-4, one training step at a rate of 1e-4 0.01.
_ROUNDING = 1e-4

_ARRAYS = "identity"


@dataclass(frozen=True, eq=False)
class Identity:
    """What identifies a model."""

    name: str
    """What to call it in a sentence: the model, judge fast."""
    digests: Mapping[str, str]
    """SHA-256 of each file it came from, by the file's name."""
    white_box: bool
    """Whether a gradient passes through it."""
    answers: Mapping[str, Tensor]
    """To a fixed batch: see `answers_of`."""

    def changes_since(self, earlier: "Identity") -> list[str]:
        """What has changed since `earlier`, in words; empty for the same model."""
        files = dict.fromkeys([*earlier.digests, *self.digests])
        changed = [
            f"{file} of {self.name} has changed"
            for file in files
            if self.digests.get(file) != earlier.digests.get(file)
        ]
        if self.white_box != earlier.white_box:
            changed.append(f"{self.name} has {'a' if self.white_box else 'no'} gradient")
        both = self.answers.keys() & earlier.answers.keys()
        if not all(agree(self.answers[half], earlier.answers[half], _ROUNDING) for half in both):
            changed.append(f"{self.name} answers differently")
        return changed


def identity_of(subject: Subject, data: RealData, name: str, asked: int = HALF) -> Identity:
    """Run a model on the fixed batch: some of the data's test images, and noise.

    Args:
        subject: the model.
        data: provides the real images.
        name: the model's name in error sentences.
        asked: how many of the test images, and of noise.
    """
    white_box = subject.module is not None
    return Identity(name, subject.loaded.digests, white_box, answers_of(subject, data, asked))


def recognise(run: Run, models: Sequence[Identity]) -> None:
    """Check that an audit resumes with the models it began with; store their identities at first.

    Args:
        run: the audit's.
        models: the audited one, then its judges in order.

    Raises:
        InputError: when one has changed.
    """
    if not run.has_arrays(_ARRAYS):
        if run.rows():
            raise InputError(
                f"{run.folder}: expected arrays/{_ARRAYS}.npz, which identifies the models the "
                "audit began with, got none; choose another folder, or start over with --fresh"
            )
        run.save_arrays(_ARRAYS, **_stored(models))
        return
    earlier = _restored(run, models)
    changed = [
        change
        for now, then in zip(models, earlier, strict=True)
        for change in now.changes_since(then)
    ]
    if changed:
        raise InputError(
            f"{run.folder}: expected the models that this audit began with, but "
            f"{' and '.join(changed)}; start over with --fresh, or keep both with another --out"
        )


def _stored(models: Sequence[Identity]) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {}
    for place, model in enumerate(models):
        files = json.dumps(dict(model.digests)).encode()  # only numeric arrays can be read back
        arrays[f"digests_{place}"] = np.frombuffer(files, np.uint8)
        arrays[f"white_box_{place}"] = np.array(model.white_box)
        arrays |= {f"{half}_{place}": values.numpy() for half, values in model.answers.items()}
    return arrays


def _restored(run: Run, models: Sequence[Identity]) -> list[Identity]:
    arrays = run.load_arrays(_ARRAYS)
    restored = []
    for place, model in enumerate(models):
        try:
            digests = parse_json(arrays[f"digests_{place}"].tobytes(), f"{run.folder}")
            white_box = bool(arrays[f"white_box_{place}"])
            answers = {
                half: torch.from_numpy(arrays[f"{half}_{place}"])
                for half in ("real", "noise")
                if f"{half}_{place}" in arrays
            }
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{run.folder}: expected arrays/{_ARRAYS}.npz of this audit, got a damaged one"
            ) from error
        restored.append(Identity(model.name, digests, white_box, answers))
    return restored
