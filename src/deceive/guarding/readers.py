"""A user's classifier as the reader of a guarded network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from deceive.auditing.models.subject import Subject
from deceive.networks.modules import device_of, float_type


class Reader(nn.Module):
    """A model that has met the data: images (N, C, H, W) in [0, 1] in, logits (N, K) out.

    K is the number of the data's classes; other outputs are left out. A black box is asked without
    a gradient: to a gradient, its answer is a constant.

    Attributes:
        power: what the logits are multiplied by; a buffer.
    """

    power: Tensor

    def __init__(self, subject: Subject, power: float = 1.0) -> None:
        super().__init__()
        self.module = subject.module
        # A function, which a deep copy of this module shares: a black box may not be copyable.
        self._answer = _black_box(subject) if subject.module is None else None
        self._columns = subject.class_outputs(torch.arange(subject.n_outputs)[None])[
            0, : subject.n_classes
        ].tolist()
        self.register_buffer("power", torch.tensor(float(power)))
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K)."""
        if self._answer is not None:
            logits = self._answer(images)
        else:
            assert self.module is not None
            shown = images.to(device_of(self.module), float_type(self.module))
            logits = self.module(shown)
        return self.read(logits.to(images.device))

    def read(self, logits: Tensor) -> Tensor:
        """Logits (N, K) of the classes, of what the model says."""
        return logits.float()[:, self._columns] * self.power


def _black_box(subject: Subject) -> Callable[[Tensor], Tensor]:
    return lambda images: subject.logits(images.detach().cpu())
