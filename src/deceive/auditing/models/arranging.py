"""Ways to hand images to a model that doesn't declare how it takes them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deceive.auditing.models.leaves import is_rows
from deceive.common.errors import InputError


@dataclass(frozen=True)
class Arrangement:
    """How images (N, C, H, W) are handed to a model.

    >>> Arrangement("flat")(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 784])
    """

    layout: str = "channels first"
    """A key of `LAYOUTS`."""
    levels: bool = False
    """Whether as whole numbers, uint8."""
    as_array: bool = False
    """Whether as a NumPy array."""
    alone: bool = False
    """Whether one image at a time."""

    def __call__(self, images: Tensor) -> Any:
        """The images as the model takes them."""
        arranged = LAYOUTS[self.layout](images)
        if self.levels:
            arranged = arranged.round().clamp(0, 255).to(torch.uint8)
        return arranged.detach().cpu().numpy() if self.as_array else arranged

    def __str__(self) -> str:
        """In words: flat, one at a time."""
        words = [] if self.layout == "channels first" else [self.layout]
        words += ["8-bit levels"] * self.levels + ["NumPy arrays"] * self.as_array
        return ", ".join(words + ["one at a time"] * self.alone)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "channels first": lambda images: images,
    "flat": lambda images: images.flatten(1),
    "channels last": lambda images: images.permute(0, 2, 3, 1),
    "flat, 1×1": lambda images: images.flatten(1)[:, :, None, None],
    "without channels": lambda images: images[:, 0],
}
"""What becomes of images (N, C, H, W)."""


class Arranged(nn.Module):
    """A module that takes images (N, C, H, W), whatever the one within takes."""

    def __init__(self, model: nn.Module, arrangement: Arrangement) -> None:
        super().__init__()
        self.model, self._arrangement = model, arrangement

    def forward(self, images: Tensor) -> Any:
        """What the model gives."""
        return given(self.model, self._arrangement, images)


def given(model: Callable[[Any], Any], arrangement: Arrangement, images: Tensor) -> Any:
    """What a model gives for images (N, C, H, W)."""
    if not arrangement.alone:
        return model(arrangement(images))
    return joined([model(arrangement(each)) for each in torch.split(images, 1)])


def joined(answers: Sequence[Any]) -> Any:
    """The answers to several batches as one: tensors, arrays, tuples or mappings of these.

    >>> joined([(torch.zeros(1, 3),), (torch.zeros(1, 3),)])[0].shape
    torch.Size([2, 3])
    """
    first = answers[0]
    if isinstance(first, Tensor):
        return torch.cat([*answers])
    if isinstance(first, Mapping):
        return {name: joined([each[name] for each in answers]) for name in first}
    if isinstance(first, list) and is_rows(first):
        return [row for each in answers for row in each]
    if isinstance(first, tuple | list):
        return tuple(joined(several) for several in zip(*answers, strict=True))
    if hasattr(first, "logits"):
        return joined([each.logits for each in answers])
    try:
        return np.concatenate([np.asarray(each) for each in answers])
    except (TypeError, ValueError) as error:
        raise InputError(
            f"model: expected tensors or arrays of scores, got {type(first).__name__}"
        ) from error
