"""A model's identity: its answers to a fixed batch, and the files it was loaded from.

A name is not enough: the file or the factory's code may have changed since, and one network can
have two names.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.auditing.models.subject import Subject
from deceive.common.errors import InputError
from deceive.common.files import parse_json
from deceive.data.loading import Dataset
from deceive.fooling.starts import begin
from deceive.storage.runs import Run

# Images in each half of the batch: real ones, and noise, on which networks differ most.
_HALF = 32

# Black, grey and white images beside the noise: all noise is about as bright as grey.
_LEVELS = (0.0, 0.5, 1.0)

# How much one network's answers to the same images may differ, as a share of how much its answers
# to different images do. Another number of threads, batch size or processor changes the order of
# sums in float32: 5e-8 for the shipped networks. Half-precision weights make it 3e-4, pixels
# rounded to 8 bits inside the model 8e-4, one training step at a rate of 1e-4 0.01.
_ROUNDING = 1e-4

# The same, for one network in two formats. 8-bit weights make it 0.01; the two closest shipped
# networks, 6,000 rounds apart in one training, differ by 0.13 on real images and 0.56 on noise.
_OTHER_FORMAT = 0.03

# Images on which even good networks disagree: squares, and equal mixtures of two classes. Two
# networks are one if they choose the same class for nearly all of each. Of the shipped ones that
# read better than guessing, none agree on more than 0.78 of the squares.
_DISPUTED = 128
_SAME_CHOICE = 0.98

# Tolerance factor for answers whose spread was estimated from two samples.
_SAMPLED = 1.5

# Logits this far below the maximum aren't compared: their probabilities round to 0 in float32.
_FLOOR = -80.0

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
    """`real` and `noise` (with evenly black, grey and white images): logits (2, N, K) float32, of
    the same images asked about together and in small batches. One at which the model raises an
    error is missing."""

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
        if not all(_agree(self.answers[half], earlier.answers[half], _ROUNDING) for half in both):
            changed.append(f"{self.name} answers differently")
        return changed


def identity_of(subject: Subject, data: Dataset, name: str) -> Identity:
    """Run a model on the fixed batch: some of the data's test images, and noise.

    Args:
        subject: the model.
        data: provides the real images.
        name: the model's name in error sentences.
    """
    white_box = subject.module is not None
    return Identity(name, subject.loaded.digests, white_box, _answers(subject, data))


def same_network(one: Subject, other: Subject, data: Dataset) -> bool:
    """Whether two models are one network, whatever their format.

    They are if they give the same class probabilities, or choose the same classes even for images
    on which independent networks disagree: then one may be the other at another temperature,
    one-hot, or rounded.
    """
    mine, its = (_answers(each, data) for each in (one, other))
    pairs = [
        (_of_classes(one, mine[half]), _of_classes(other, its[half]))
        for half in mine.keys() & its.keys()
    ]
    if not pairs:
        return False
    if all(_agree(*pair, _OTHER_FORMAT) for pair in pairs):
        return True
    if not all(_choose_alike(*pair) for pair in pairs):
        return False
    try:
        shown = [
            [_of_classes(each, each.logits(images)[None]) for each in (one, other)]
            for images in _disputed(data)
        ]
    except Exception:
        return False  # the audit's own parts will meet this error and report it
    told = any(2 * int(_clear(*pair).sum()) > _DISPUTED for pair in shown)
    return told and all(_choose_alike(*pair) for pair in shown)


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
                "audit began with, got none; choose another folder, or start anew with --fresh"
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
            f"{' and '.join(changed)}; start anew with --fresh, or keep both with another --out"
        )


def _answers(subject: Subject, data: Dataset) -> dict[str, Tensor]:
    """The value of `Identity.answers`."""
    test = data.test.images
    places = torch.linspace(0, len(test) - 1, min(_HALF, len(test))).long()
    noise = begin("uniform", range(_HALF), data.image_shape, 0)
    even = torch.tensor(_LEVELS).view(-1, 1, 1, 1).expand(-1, *data.image_shape)
    noise = torch.cat([noise, even])
    answers = {}
    for half, images in {"real": test[places], "noise": noise}.items():
        try:
            together = subject.logits(images)
            apart = torch.cat([subject.logits(part) for part in torch.split(images, 5)])
        except Exception:
            continue  # the audit's own parts will meet this error and report it
        answers[half] = torch.stack([together, apart])
    return answers


def _disputed(data: Dataset) -> list[Tensor]:
    """The images described at `_DISPUTED`."""
    test = data.test
    first = torch.linspace(0, len(test) - 1, min(2 * _DISPUTED, len(test))).long()
    second = first.roll(len(first) // 2)
    differ = test.labels[first] != test.labels[second]
    first, second = first[differ][:_DISPUTED], second[differ][:_DISPUTED]
    mixed = (test.images[first] + test.images[second]) / 2
    return [begin("squares", range(_DISPUTED), data.image_shape, 0), mixed]


def _choose_alike(one: Tensor, other: Tensor) -> bool:
    """Whether log-probabilities (M, N, K) peak at the same classes, apart from ties."""
    same = (one.argmax(2) == other.argmax(2))[_clear(one, other)]
    return len(same) == 0 or same.double().mean().item() >= _SAME_CHOICE


def _clear(one: Tensor, other: Tensor) -> Tensor:
    """Images (M, N) with no tie for the greatest log-probability (M, N, K): rounding makes ties."""
    highest, second = torch.stack([one, other]).topk(2).values.unbind(3)
    return (highest > second).all(0)


def _of_classes(subject: Subject, answers: Tensor) -> Tensor:
    """Log-probabilities over the data's classes, from logits (M, N, K)."""
    classes = subject.class_outputs(answers.flatten(0, 1))[:, : subject.n_classes]
    return classes.log_softmax(1).view(*answers.shape[:2], -1)


def _agree(one: Tensor, other: Tensor, share: float) -> bool:
    """Whether answers (2, N, K) come from one network.

    Their RMS difference may be up to `share` of the answers' standard deviation, plus the
    difference between two calls with the same images.
    """
    if one.shape != other.shape or not torch.equal(one.isfinite(), other.isfinite()):
        return False
    (first, second), (third, fourth) = _comparable(one), _comparable(other)
    by_chance = _rms(torch.stack([first - second, third - fourth]))
    differ = _rms((first + second - third - fourth) / 2)
    spread = (first - first.mean()).square().mean().sqrt()
    least = torch.finfo(torch.float32).eps * first.abs().max()
    return bool(differ <= share * spread + _SAMPLED * by_chance + least)


def _comparable(answers: Tensor) -> Tensor:
    """In float64; non-finite values become 0, low ones are clamped to the floor."""
    answers = answers.double().nan_to_num(0, 0, 0)
    return answers.maximum(answers.amax(2, keepdim=True) + _FLOOR)


def _rms(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()


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
