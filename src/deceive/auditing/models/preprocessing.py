"""A user's own function between the images and the model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from deceive.auditing.models.importing import imported
from deceive.auditing.models.interface import Interface
from deceive.auditing.models.loaded import Function, Loaded
from deceive.common.errors import InputError

Preprocess = Callable[[Tensor], Any]


class Preprocessed(nn.Module):
    """A module with a function before it: images (N, C, H, W) in [0, 1] in."""

    def __init__(self, model: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.model, self._preprocess = model, preprocess

    def forward(self, images: Tensor) -> Any:
        """What the model gives."""
        return self.model(_shown(self._preprocess, images))


class PreprocessedFunction:
    """A callable with a function before it: images (N, C, H, W) in [0, 1] in."""

    def __init__(self, model: Function, preprocess: Preprocess) -> None:
        self.model, self._preprocess = model, preprocess

    def __call__(self, images: Tensor) -> Any:
        """What the model gives."""
        return self.model(self._preprocess(images))


def with_preprocess(loaded: Loaded, interface: Interface) -> Loaded:
    """The model with the interface's function before it, if it has one.

    Raises `InputError` when the function can't be imported.
    """
    if interface.preprocess is None:
        return loaded
    preprocess = function_of(interface.preprocess)
    if isinstance(loaded.model, nn.Module):
        within: nn.Module = Preprocessed(loaded.model, preprocess)
        return replace(loaded, model=within, preprocess=preprocess)
    return replace(
        loaded, model=PreprocessedFunction(loaded.model, preprocess), preprocess=preprocess
    )


def pictures_of(loaded: Loaded, images: Tensor) -> Tensor | None:
    """What the user's function makes of images, as pictures (N, C, H, W) in [0, 1].

    They are stretched, all alike, from black to white. None without a function, and for what can't
    be shown as pictures.
    """
    if loaded.preprocess is None:
        return None
    made = _shown(loaded.preprocess, images).detach().float().cpu()
    if made.ndim == 4 and made.shape[1] not in (1, 3) and made.shape[3] in (1, 3):
        made = made.permute(0, 3, 1, 2)  # channels last
    if made.ndim != 4 or made.shape[1] not in (1, 3) or not made.isfinite().all():
        return None
    low, high = made.aminmax()
    return (made - low) / (high - low).clamp_min(1e-12)


def function_of(preprocess: str | Preprocess) -> Preprocess:
    """The function itself, imported if it is named as module:function."""
    if not isinstance(preprocess, str):
        return preprocess
    found = imported("preprocess", preprocess)
    if not callable(found):
        raise InputError(
            f"preprocess: expected a function, got {preprocess}, which is {type(found).__name__}"
        )
    function: Preprocess = found
    return function


def _shown(preprocess: Preprocess, images: Tensor) -> Tensor:
    """What the function makes of images, as a tensor of their type where they are.

    A function that leaves torch, as for NumPy, gets them without their gradient.
    """
    try:
        made = preprocess(images)
    except RuntimeError:
        if not images.requires_grad:
            raise
        made = preprocess(images.detach())
    if isinstance(made, Tensor):
        return made
    return torch.as_tensor(made).to(images.device, images.dtype)
