"""The ONNX graph of a guarded torch module: classifier and guard, traced together."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from deceive.auditing.models.subject import Subject
from deceive.guarding.door import OUTPUTS, Door
from deceive.guarding.forms import Form
from deceive.guarding.model import GuardedModel
from deceive.networks.modules import copied, float_type
from deceive.networks.squashing import BeforeSoftmax
from deceive.storage.export import with_plain_stems
from deceive.storage.tracing import store_in_half, traced

if TYPE_CHECKING:
    from onnx import ModelProto

INPUT, OUTPUT = "input", "output"
"""Names of the input, and of the classifier's own scores."""


class TorchReader:
    """A classifier as a torch module, on the CPU: asked as it was, in its own scaling."""

    def __init__(self, subject: Subject) -> None:
        assert isinstance(subject.loaded.model, nn.Module)
        self.form = Form(subject.image_shape, scaling=subject.scaling)
        self._model = with_plain_stems(copied(subject.loaded.model).cpu())
        for parameter in self._model.parameters():  # TorchScript refuses `requires_grad_`
            parameter.requires_grad_(False)
        self.dtype = float_type(self._model)

    def __call__(self, taken: Tensor) -> tuple[Tensor, Tensor]:
        """What it gives, and its scores, for images in its scaling."""
        shown = taken.to(self.dtype)
        if isinstance(self._model, BeforeSoftmax):
            output, scores = self._model.both(shown)
            return output.float(), scores.float()
        scores = self._model(shown).float()
        return scores, scores


def graph_of_torch(
    guarded: GuardedModel, subject: Subject, reader: TorchReader, images: Tensor
) -> "ModelProto":
    """One graph of a classifier and its guard.

    Args:
        guarded: the guarded classifier.
        subject: the classifier.
        reader: the same, to be traced.
        images: (N, C, H, W) in [0, 1], N another size than any side.

    Raises:
        InputError: when it does something that ONNX's operators can't express.
    """
    door, form = Door(guarded, subject.reading), reader.form

    def function(taken: Tensor) -> tuple[Tensor, ...]:
        output, scores = reader(taken.clone())  # some modules work in place
        return (output.clone(), *door(form.images(taken), scores))

    with torch.no_grad():
        proto = traced(function, {INPUT: form.given(images)}, [OUTPUT, *OUTPUTS])
    store_in_half(proto)
    return proto
