"""Flat colour images: one channel after the other, or pixel by pixel."""

from dataclasses import replace

from torch import Tensor, nn

from deceive.auditing.models.loaded import Function, Loaded

BY_PIXEL = (
    "It takes flat images. It reads {:.1%} of {:,} validation images pixel by pixel (channels "
    "last), and {:.1%} one channel after the other, so it gets them pixel by pixel."
)


def orders_of(loaded: Loaded, channels: int) -> list[Loaded]:
    """The model as it is; if it takes flat colour images, also with their pixels in turn.

    Args:
        loaded: a model that takes images (N, C, H, W), which may be flattened in it.
        channels: C.
    """
    is_flat = loaded.wants.pixels is not None or (loaded.arranged or "").startswith("flat")
    if channels == 1 or not is_flat or loaded.preprocess is not None:
        return [loaded]
    words = f"{loaded.prepared}, pixel by pixel" if loaded.prepared else ""
    model: nn.Module | Function
    if isinstance(loaded.model, nn.Module):
        model = _ByPixel(loaded.model)
    else:
        model = _by_pixel(loaded.model)
    return [loaded, replace(loaded, model=model, prepared=words)]


def _by_pixel(model: Function) -> Function:
    return lambda images: model(by_pixel(images))


def by_pixel(images: Tensor) -> Tensor:
    """Images (N, C, H, W) whose values, flattened, are those of channels last.

    >>> import torch
    >>> by_pixel(torch.tensor([[[[1, 2]], [[10, 20]]]])).flatten().tolist()
    [1, 10, 2, 20]
    """
    return images.permute(0, 2, 3, 1).reshape(images.shape)


class _ByPixel(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.model(by_pixel(images))
        return scores
