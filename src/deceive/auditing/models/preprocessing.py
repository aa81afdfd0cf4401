"""A user's own function between the images and the model."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from deceive.auditing.models.importing import imported
from deceive.auditing.models.interface import Interface
from deceive.auditing.models.loaded import Loaded
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


def with_preprocess(loaded: Loaded, interface: Interface) -> Loaded:
    """The model with the interface's function before it, if it has one.

    Raises `InputError` when the function can't be imported.
    """
    if interface.preprocess is None:
        return loaded
    preprocess = function_of(interface.preprocess)
    if isinstance(loaded.model, nn.Module):
        return replace(loaded, model=Preprocessed(loaded.model, preprocess))
    model = loaded.model
    return replace(loaded, model=lambda images: model(preprocess(images)))


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
