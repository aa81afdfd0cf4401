"""A user's own function between the images and the model, tried once before the model is blamed."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.preprocessing import Preprocessed, PreprocessedFunction
from deceive.common.errors import InputError
from deceive.common.raising import raised
from deceive.networks.inference import evaluating
from deceive.networks.modules import device_of, float_type, original
from deceive.networks.precision import exactly

_ASKED = "it gets images (N, C, H, W) in [0, 1] and returns what the model takes"


def check_preprocess(loaded: Loaded, images: Tensor) -> None:
    """Try the function, and then the model on what it gives.

    Args:
        loaded: a model with a function before it.
        images: two real images (2, C, H, W) in [0, 1].

    Raises:
        InputError: when the function fails, or gives another number of images, or values that
            aren't finite; when the model refuses what it gives.
    """
    model = loaded.model
    assert loaded.preprocess is not None
    assert isinstance(model, Preprocessed | PreprocessedFunction)
    if isinstance(model, nn.Module):
        images = images.to(device_of(model), float_type(model))
    try:
        made = loaded.preprocess(images.clone())
        if isinstance(model, nn.Module) and not isinstance(made, Tensor) and made is not None:
            made = torch.as_tensor(made).to(images.device, images.dtype)
    except Exception as error:  # a user's own code may raise anything
        raise InputError(
            f"preprocess: expected a function of images of shape {tuple(images.shape)}; it raised "
            f"{raised(error)}"
        ) from error
    tensor = _checked(made, len(images))
    if (said := _refusal(model.model, made)) is not None:
        raise InputError(
            f"preprocess: expected what the model takes, got shape {_sides(tensor)} and type "
            f"{_type(tensor)}, for which the model raised {said}; {_advice(model.model, tensor)}"
        )


def _checked(made: Any, count: int) -> Tensor:
    """What the function gave, as a tensor."""
    try:
        tensor = torch.as_tensor(made)
    except Exception as error:  # none of its kind
        raise InputError(
            f"preprocess: expected a function that returns a tensor or an array, got "
            f"{type(made).__name__}; {_ASKED}"
        ) from error
    if tensor.ndim < 2 or len(tensor) != count:
        raise InputError(
            f"preprocess: expected an image for each of {count} images, got shape "
            f"{tuple(tensor.shape)}; {_ASKED}"
        )
    if not tensor.isfinite().all():
        raise InputError(f"preprocess: expected finite values, got NaN or infinity; {_ASKED}")
    return tensor


def _refusal(model: Any, made: Any) -> str | None:
    """The error that the model raises; None if it takes this."""
    try:
        if isinstance(model, nn.Module):
            inner, shown = original(model), torch.as_tensor(made)
            device = device_of(inner)
            with torch.no_grad(), evaluating(inner), exactly(device):
                inner(shown.to(device, copy=True))
        else:
            model(made.clone() if isinstance(made, Tensor) else made)
    except InputError as error:
        return str(error).removeprefix("model: ")
    except Exception as error:  # a user's model may raise anything
        return raised(error)
    return None


def _advice(model: Any, made: Tensor) -> str:
    """What would help, if it is known."""
    for words, changed in _changes(made):
        if _refusal(model, changed) is None:
            return f"the model takes it with {words} at the end"
    if made.ndim == 4 and made.shape[3] in (1, 3):
        return "are its channels last, and should they be first?"
    return _ASKED


def _changes(made: Tensor) -> Iterator[tuple[str, Tensor]]:
    floats = [("", made)] if made.is_floating_point() else [(".float()", made.float())]
    for words, tensor in floats:
        if words:
            yield words, tensor
        if tensor.ndim == 4:
            yield f".permute(0, 3, 1, 2){words}", tensor.permute(0, 3, 1, 2)
            yield f".permute(0, 2, 3, 1){words}", tensor.permute(0, 2, 3, 1)


def _sides(made: Tensor) -> str:
    return f"({', '.join(['N', *map(str, made.shape[1:])])})"


def _type(made: Tensor) -> str:
    return str(made.dtype).removeprefix("torch.")
