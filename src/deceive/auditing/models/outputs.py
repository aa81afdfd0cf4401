"""Find the scores among a model's outputs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deceive.auditing.models.answers import as_tensor, columns_of, rows
from deceive.auditing.models.leaves import Leaves, is_array, leaves_of, names_in
from deceive.auditing.models.loaded import Function, Loaded
from deceive.common.errors import InputError
from deceive.common.raising import raised
from deceive.networks.inference import logits_of
from deceive.networks.modules import original

# How far a softmax may be from what a model itself returns as the probabilities.
_ROUNDING = 1e-4


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
    answer, count = _first_answer(loaded, scaled), len(scaled[0])
    leaves = leaves_of(answer)
    chosen = _chosen(leaves, count, n_classes, output)
    model = loaded.model
    if not is_array(answer):
        picked = Picked(model, chosen) if isinstance(model, nn.Module) else _picking(model, chosen)
        loaded = replace(loaded, model=picked, output=chosen if len(leaves) > 1 else None)
    raw = _tensor(leaves[chosen])
    scores = rows(raw, count)
    if scores.shape[1] == 1:
        _check_single(raw, n_classes, is_module=isinstance(model, nn.Module))
    is_flat = raw.ndim == 2 and scores.shape[1] > 1
    return Found(loaded, scores, is_flat, names_in(answer).get(chosen), _labels(leaves, count))


def _chosen(leaves: Leaves, count: int, n_classes: int, output: str | None) -> str:
    """The name of the output to read."""
    if [*leaves] == [""]:
        if output is not None:
            raise InputError(
                f"output: expected none for a model with one output, got {output!r}; drop --output"
            )
        return ""
    listed = ", ".join(_described(name, value) for name, value in leaves.items()) or "nothing"
    if output is not None:
        if output not in leaves or not _is_scores(leaves[output], count, least=1):
            raise InputError(f"output: expected scores (N, K), one of {listed}, got {output!r}")
        return output
    if len(leaves) == 1:
        return next(iter(leaves))
    columns = {
        name: columns_of(as_tensor(value)).shape[1]
        for name, value in leaves.items()
        if _is_scores(value, count, least=1)
    }
    fitting = [name for name, each in columns.items() if each > 1 and each - n_classes in (0, 1)]
    called = [name for name in fitting or columns if name.rpartition(".")[2] == "logits"]
    single = [name for name, each in columns.items() if each == 1 and n_classes == 2]
    for names in (fitting, called, _before_softmax(leaves, fitting), [] if fitting else single):
        if len(names) == 1:
            return names[0]
    raise InputError(
        f"output: expected exactly one output with {n_classes} columns, one per class of the data "
        f"(or {n_classes + 1}, with rubbish), got {listed}; choose one with --output NAME, or name "
        "images of the model's own classes with --data DIR"
    )


def _before_softmax(leaves: Leaves, names: list[str]) -> list[str]:
    """Of two outputs the one whose softmax is the other."""
    scores = {name: columns_of(as_tensor(leaves[name])).detach().float().cpu() for name in names}
    pairs = [(a, b) for a in names for b in names if a != b and len(names) == 2]
    return [
        a
        for a, b in pairs
        if scores[a].shape == scores[b].shape
        and torch.allclose(scores[a].softmax(1), scores[b], atol=_ROUNDING)
    ]


class Picked(nn.Module):
    """A model reduced to one of its outputs."""

    def __init__(self, model: nn.Module, output: str) -> None:
        super().__init__()
        self.model, self._output = model, output

    def forward(self, images: Tensor) -> Tensor:
        """The output (N, …) for images (N, C, H, W)."""
        return as_tensor(leaves_of(self.model(images))[self._output])


class _Listening(nn.Module):
    """Wraps a model and keeps whatever it returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.heard: Any = None

    def forward(self, images: Tensor) -> Tensor:
        self.heard = self.model(images)
        return images.flatten(1)


@contextmanager
def asking(images: Tensor) -> Iterator[None]:
    """Within the block, an error raised by a model becomes an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"model: expected a model that takes images of shape {tuple(images.shape)}; it raised "
            f"{raised(error)}; bring them to its size with --size, do what else it needs with "
            "--preprocess, or name its own images with --data"
        ) from error


def _first_answer(loaded: Loaded, scaled: Sequence[Tensor]) -> Any:
    """The model's output in the first scaling that it accepts."""
    *others, last = scaled
    for images in others:
        with suppress(InputError):
            return _answer(loaded, images)
    return _answer(loaded, last)


def _answer(loaded: Loaded, images: Tensor) -> Any:
    """The model's raw output."""
    with asking(images):
        if isinstance(loaded.model, nn.Module):
            listening = _Listening(original(loaded.model))
            logits_of(listening, images, len(images))
            return listening.heard
        return loaded.model(images.clone())  # some models work in place


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
            "model: expected a score for each class, got one whole number per image, as of the "
            "class it chooses; return its logits, or what predict_proba gives, before the argmax"
        )
    if n_classes != 2:
        raise InputError(
            f"model: expected a score for each of the data's {n_classes} classes, got one score "
            "per image, as of a model of two classes; name images of its own two classes with "
            "--data DIR, or return a score for each class"
        )


def _is_scores(value: Any, count: int, least: int) -> bool:
    """Whether these may be scores (N, K) with K at least `least`, but for sides of length 1."""
    if not is_array(value) or value.ndim == 0 or len(value) != count:
        return False
    if value.ndim > 4 or getattr(getattr(value, "dtype", None), "kind", "f") != "f":
        return False  # an array of labels
    found = as_tensor(value)
    columns = columns_of(found)
    return found.is_floating_point() and columns.ndim == 2 and columns.shape[1] >= least


def _described(name: str, value: Any) -> str:
    """Name and shape: embedding (N, 64)."""
    if not is_array(value):
        return f"{name} ({type(value).__name__})"
    sizes = ", ".join(["N", *map(str, value.shape[1:])]) if value.ndim else ""
    return f"{name} ({sizes}{',' * (value.ndim == 1)})"
