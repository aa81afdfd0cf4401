"""The audited model: any model, adapted to images in [0, 1] in and logits out.

Only this module deals with scaling, and with scores that aren't logits.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deceive.auditing.models.answers import Answers, rows
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.loaded import Function, Loaded
from deceive.auditing.models.readings import Reading
from deceive.common.levels import Shape
from deceive.networks.inference import batch_for, logits_of
from deceive.networks.steadiness import Manner


class Adapted(nn.Module):
    """A model with its scaling before it, and what makes logits of its scores after it."""

    def __init__(self, model: nn.Module, scaling: Scaling, reading: Reading) -> None:
        super().__init__()
        self.model, self._scaling, self.reading = model, scaling, reading

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]."""
        return self.reading(self.model(self._scaling(images)))


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that has met the data: images (N, C, H, W) in [0, 1] in, logits (N, K) out."""

    loaded: Loaded
    scaling: Scaling
    image_shape: Shape
    n_classes: int
    """The data's classes are the model's first outputs."""
    n_outputs: int
    rubbish_class: int | None
    answers: Answers
    """What the model returns; converted to logits."""
    reading: Reading
    """How it is converted."""
    module: nn.Module | None
    """Differentiable; None for a black box."""
    notes: tuple[str, ...]
    """What was detected, in sentences."""
    warnings: tuple[str, ...]
    """Reasons why the figures may be misleading, in sentences."""
    manner: Manner
    """Whether its answers are repeatable. `logits` makes them so, `module` doesn't."""
    answer: Callable[[Tensor], Tensor]
    """One batch of images to logits."""

    @property
    def name(self) -> str:
        """A short name to show."""
        return self.loaded.name

    def logits(self, images: Tensor) -> Tensor:
        """Logits (N, K) float32, on the CPU, worked out in float32; they may be NaN."""
        batch = batch_for(images.shape[1:])
        return torch.cat([self.answer(part) for part in torch.split(images, batch)])

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of images (N, C, H, W) that it reads correctly, ignoring its rubbish class."""
        right: Tensor = self.class_outputs(self.logits(images)).argmax(1) == labels
        return right.double().mean().item()

    def class_outputs(self, values: Tensor) -> Tensor:
        """The outputs (N, K) without the rubbish class."""
        if self.rubbish_class is None:
            return values
        return torch.cat(
            [values[:, : self.rubbish_class], values[:, self.rubbish_class + 1 :]], dim=1
        )


def answering(loaded: Loaded, scaling: Scaling, reading: Reading) -> Callable[[Tensor], Tensor]:
    """A function from images (N, C, H, W) in [0, 1] to the model's logits (N, K)."""

    def ask(images: Tensor) -> Tensor:
        scaled = scaling(images)
        if isinstance(loaded.model, nn.Module):
            return reading(rows(logits_of(loaded.model, scaled), len(images)))
        function: Function = loaded.model
        return reading(rows(function(scaled.clone()), len(images)))

    return ask
