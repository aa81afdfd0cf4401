"""Find the scores among a model's outputs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from deceive.auditing.models.loaded import Function, Loaded
from deceive.common.errors import InputError
from deceive.networks.inference import logits_of
from deceive.networks.modules import original


def pick(
    loaded: Loaded, scaled: Sequence[Tensor], n_classes: int, output: str | None = None
) -> Loaded:
    """The same model, reduced to the class scores.

    A model may return a tensor, a tuple or a mapping. Of several outputs, the one with a column per
    class is taken, or with one more for a rubbish class.

    Args:
        loaded: the model.
        scaled: the same images (N, C, H, W) in one or more scalings; the model must accept at least
            one.
        n_classes: number of the data's classes.
        output: name of the output to take instead; for a tuple, its number from 0.

    Raises:
        InputError: when no output or several have that many columns and none is named; when the
            named one doesn't exist; when the model doesn't accept such images, or is a module that
            returns something else.
    """
    answer, count = _first_answer(loaded, scaled), len(scaled[0])
    named = _named(answer)
    if named is None:
        if isinstance(loaded.model, nn.Module) and not isinstance(answer, Tensor):
            raise InputError(
                "model: expected a tensor of scores (N, K), or several outputs in a tuple or by "
                f"name, got {type(answer).__name__}"
            )
        if output is not None:
            raise InputError(f"output: expected none for a model with one output, got {output!r}")
        return loaded
    listed = ", ".join(_described(name, value) for name, value in named.items())
    if output is None and len(named) > 1:
        fitting = [
            name
            for name, value in named.items()
            if _is_scores(value, count) and value.shape[1] - n_classes in (0, 1)
        ]
        if len(fitting) != 1:
            raise InputError(
                f"output: expected exactly one output with {n_classes} columns, one per class "
                f"(or {n_classes + 1}, with rubbish), got {listed}; choose one with --output"
            )
        (output,) = fitting
    output = next(iter(named)) if output is None else output
    if output not in named or not _is_scores(named[output], count):
        raise InputError(f"output: expected scores (N, K), one of {listed}, got {output!r}")
    model = loaded.model
    picked = Picked(model, output) if isinstance(model, nn.Module) else _picking(model, output)
    return replace(loaded, model=picked, output=output if len(named) > 1 else None)


class Picked(nn.Module):
    """A model reduced to one of its outputs."""

    def __init__(self, model: nn.Module, output: str) -> None:
        super().__init__()
        self.model, self._output = model, output

    def forward(self, images: Tensor) -> Tensor:
        """Scores (N, K) of images (N, C, H, W)."""
        named = _named(self.model(images))
        assert named is not None
        scores: Tensor = named[self._output]
        return scores


class _Listening(nn.Module):
    """Wraps a model and keeps whatever it returns."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.heard: Any = None

    def forward(self, images: Tensor) -> Tensor:
        self.heard = self.model(images)
        return self.heard if isinstance(self.heard, Tensor) else images.flatten(1)


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
            f"{error!r}"
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
            logits_of(listening, images)
            return listening.heard
        return loaded.model(images.clone())  # some models work in place


def _named(answer: Any) -> dict[str, Any] | None:
    """Several outputs by name or number; None for a single one."""
    if isinstance(answer, Mapping):
        return {str(name): value for name, value in answer.items()}
    if isinstance(answer, tuple) or (
        isinstance(answer, list) and any(np.ndim(each) > 1 for each in answer if _shaped(each))
    ):
        return {str(place): value for place, value in enumerate(answer)}
    return None


def _picking(model: Function, output: str) -> Function:
    def picked(images: Tensor) -> Any:
        named = _named(model(images))
        assert named is not None
        return named[output]

    return picked


def _shaped(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _is_scores(value: Any, count: int) -> bool:
    if not _shaped(value) or value.ndim != 2 or len(value) != count or value.shape[1] < 2:
        return False
    return value.is_floating_point() if isinstance(value, Tensor) else value.dtype.kind == "f"


def _described(name: str, value: Any) -> str:
    """Name and shape: embedding (N, 64)."""
    if not _shaped(value):
        return f"{name} ({type(value).__name__})"
    sizes = ", ".join(["N", *map(str, value.shape[1:])]) if value.ndim else ""
    return f"{name} ({sizes}{',' * (value.ndim == 1)})"
