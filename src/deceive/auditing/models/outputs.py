"""Find the scores among a model's outputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from deceive.auditing.models.answers import as_tensor, rows
from deceive.auditing.models.asking import first_answer
from deceive.auditing.models.choosing import chosen
from deceive.auditing.models.leaves import Leaves, is_array, leaves_of, names_in
from deceive.auditing.models.loaded import Function, Loaded
from deceive.common.errors import InputError


@dataclass(frozen=True, eq=False)
class Found:
    """The scores among a model's outputs."""

    loaded: Loaded
    """The model, reduced to them."""
    scores: Tensor
    """What it gave for the first images, (N, K) float32."""
    is_flat: bool
    """Whether that was its own shape, with K ≥ 2."""
    names: tuple[str, ...] | None
    """The names of its columns, if they came with its answer."""
    labels: tuple[str, ...] | None
    """The names of the classes that it chose for the first images, if they came with it."""


def pick(
    loaded: Loaded, scaled: Sequence[Tensor], n_classes: int, output: str | None = None
) -> Found:
    """The same model, reduced to the class scores.

    A model may return a tensor, or several in tuples, mappings and dataclasses. Of several, the one
    with a column per class is taken, or with one more for a rubbish class; else the one called
    `logits`, else one whose softmax the other is.

    Args:
        loaded: the model.
        scaled: the same images (N, C, H, W) in one or more scalings; the model must accept at least
            one.
        n_classes: number of the data's classes.
        output: name of the output to take instead; for a tuple, its number from 0.

    Raises:
        InputError: when no output or several have that many columns and none is named; when the
            named one doesn't exist; when the model doesn't accept such images, or gives no scores.
    """
    answer, count = first_answer(loaded, scaled), len(scaled[0])
    leaves = leaves_of(answer)
    name = chosen(leaves, count, n_classes, output)
    model = loaded.model
    if not is_array(answer):
        picked = Picked(model, name) if isinstance(model, nn.Module) else _picking(model, name)
        loaded = replace(loaded, model=picked, output=name if len(leaves) > 1 else None)
    raw = _tensor(leaves[name])
    scores = rows(raw, count)
    if scores.shape[1] == 1:
        _check_single(raw, n_classes, is_module=isinstance(model, nn.Module))
    is_flat = raw.ndim == 2 and scores.shape[1] > 1
    return Found(loaded, scores, is_flat, names_in(answer).get(name), _labels(leaves, count))


class Picked(nn.Module):
    """A model reduced to one of its outputs."""

    def __init__(self, model: nn.Module, output: str) -> None:
        super().__init__()
        self.model, self._output = model, output

    def forward(self, images: Tensor) -> Tensor:
        """The output (N, …) for images (N, C, H, W)."""
        return as_tensor(leaves_of(self.model(images))[self._output])


def _picking(model: Function, output: str) -> Function:
    return lambda images: leaves_of(model(images))[output]


def _tensor(value: Any) -> Tensor:
    """An output as a tensor. Raises `InputError` unless it is one, or an array of numbers."""
    if not is_array(value):
        raise InputError(
            f"model: expected scores (N, K), got {type(value).__name__}; return a callable that "
            "gives a tensor or array of scores: logits, or what predict_proba gives"
        )
    return as_tensor(value)


def _labels(leaves: Leaves, count: int) -> tuple[str, ...] | None:
    """The texts (N,) among the outputs."""
    for value in leaves.values():
        if isinstance(value, np.ndarray) and value.shape == (count,) and value.dtype.kind in "OU":
            return tuple(map(str, value))
    return None


def _check_single(scores: Tensor, n_classes: int, *, is_module: bool) -> None:
    """Raise `InputError` unless a number per image is the score of one of two classes."""
    numbers = not scores.is_floating_point()
    if numbers or (not is_module and bool((scores == scores.round()).all())):
        raise InputError(
            "model: expected a score for each class, got one whole number per image, perhaps the "
            "class it chooses; return its logits, or what predict_proba gives, before the argmax"
        )
    if n_classes != 2:
        raise InputError(
            f"model: expected a score for each of the data's {n_classes} classes, got one score "
            "per image, as a model of two classes gives; name images of its own two classes with "
            "--data DIR, or return a score for each class"
        )
