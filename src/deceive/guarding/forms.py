"""How a classifier takes images, and the way back from there to images in [0, 1]."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.auditing.models.arranging import LAYOUTS
from deceive.auditing.models.interface import Scaling
from deceive.common.levels import Shape


@dataclass(frozen=True)
class Form:
    """Layout, scaling and type of a classifier's input.

    >>> form = Form((1, 2, 2), "flat", Scaling((0, 255)), torch.uint8)
    >>> form.given(torch.tensor([[[[0.0, 1.0], [0.2, 0.6]]]]))
    tensor([[  0, 255,  51, 153]], dtype=torch.uint8)
    >>> form.images(torch.tensor([[0, 255, 51, 153]], dtype=torch.uint8))
    tensor([[[[0.0000, 1.0000],
              [0.2000, 0.6000]]]])
    """

    image_shape: Shape
    layout: str = "channels first"
    """A key of `LAYOUTS`."""
    scaling: Scaling = Scaling()  # noqa: RUF009  frozen
    dtype: torch.dtype = torch.float32

    @property
    def rounding(self) -> float:
        """How far pixels may be from what they were before `given`."""
        return 5e-3 if self.dtype == torch.float16 else 1e-4

    def given(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] as the classifier takes them."""
        arranged = LAYOUTS[self.layout](self.scaling(images))
        if not self.dtype.is_floating_point:
            limits = torch.iinfo(self.dtype)
            arranged = arranged.round().clamp(limits.min, limits.max)
        return arranged.to(self.dtype).contiguous()

    def images(self, taken: Tensor) -> Tensor:
        """What was given to a classifier, as images (N, C, H, W) float32 in [0, 1]."""
        images = _BACK[self.layout](taken.float(), self.image_shape)
        if self.scaling.mean is not None and self.scaling.std is not None:
            mean, std = (torch.tensor(each) for each in (self.scaling.mean, self.scaling.std))
            images = images * std.view(-1, 1, 1) + mean.view(-1, 1, 1)
        low, high = self.scaling.bounds
        if (low, high) != (0, 1):
            images = (images - low) / (high - low)
        return images.clamp(0, 1)


def _split(taken: Tensor, shape: Shape) -> Tensor:
    return taken.reshape(taken.shape[0], *shape)


_BACK: dict[str, Callable[[Tensor, Shape], Tensor]] = {
    "channels first": lambda taken, _: taken,
    "flat": _split,
    "channels last": lambda taken, _: taken.permute(0, 3, 1, 2),
    "flat, 1×1": _split,
    "without channels": lambda taken, _: taken[:, None],
}
