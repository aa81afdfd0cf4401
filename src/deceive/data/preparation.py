"""Bring pictures of any size and colour to the shape that a model takes."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.levels import from_levels, to_levels

Size = tuple[int, int]
"""(height, width) in pixels."""

_MOST = 2**14
"""No side of an image is as long."""

# Rec. 601 luma, as Pillow converts colour to grey.
_GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Preparation:
    """How pictures become images of one shape: first resized, then cropped.

    With neither `resize` nor `crop`, a picture is stretched to `size`. Raises `InputError` for a
    size below 1, channels other than 1 or 3, and a size beside a crop.

    >>> import torch
    >>> import deceive
    >>> deceive.Preparation(channels=3, resize=8, crop=(6, 6))(torch.zeros(1, 16, 32)).shape
    torch.Size([3, 6, 6])
    """

    channels: int | None = None
    """1 for grey, 3 for colour; None for the picture's own. Colour becomes grey by its luma."""
    size: Size | None = None
    """(height, width) to stretch to."""
    resize: int | None = None
    """Length in pixels that the shorter side is resized to."""
    crop: Size | None = None
    """(height, width) to cut out of the middle, after resizing; without `resize`, the picture is
    first resized to just cover it."""
    bicubic: bool = False
    """Whether resized by cubic functions; by default by linear ones."""

    def __post_init__(self) -> None:
        if self.channels is not None:
            arguments.whole("channels", self.channels)
            if self.channels not in (1, 3):
                raise InputError(f"channels: expected 1 or 3, got {self.channels}")
        for name in ("size", "crop"):
            if (sides := getattr(self, name)) is not None:
                if not isinstance(sides, tuple | list) or len(sides) != 2:
                    raise arguments.refusal(name, "(height, width) in pixels", sides)
                for side in sides:
                    checks.at_least(name, side, 1, _MOST)
        if self.resize is not None:
            checks.at_least("resize", self.resize, 1, _MOST)
        if self.size is not None and (self.resize is not None or self.crop is not None):
            raise InputError("size: expected none beside resize or crop, which decide the size")

    def __call__(self, picture: Tensor) -> Tensor:
        """The image (C, H, W) float32 in [0, 1], as a PNG holds it; or several (n, C, H, W).

        Args:
            picture: (C, h, w) or (n, C, h, w), uint8 or floats in [0, 1].

        Raises:
            InputError: when the picture is smaller than the crop after resizing.
        """
        image = from_levels(picture) if picture.dtype == torch.uint8 else picture.float()
        own, size = image.shape[-3], (image.shape[-2], image.shape[-1])
        cropped = self.size_of(size)
        if picture.dtype == torch.uint8 and cropped == size and self.channels in (None, own):
            return image
        image = _in_colours(image, self.channels or own)
        image = _resized(image, self._size_before_crop(size), self.bicubic)
        if self.crop is not None:
            image = _cropped(image, self.crop)
        return from_levels(to_levels(image))

    def size_of(self, size: Size) -> Size:
        """The size (H, W) of the image of a picture of this size.

        Raises `InputError` when the picture is smaller than the crop after resizing.
        """
        before = self._size_before_crop(size)
        if self.crop is None:
            return before
        if before[0] < self.crop[0] or before[1] < self.crop[1]:
            raise InputError(
                f"crop: expected pictures of at least {_by(self.crop)} after resizing, got "
                f"{_by(before)}; resize them to more, or crop less"
            )
        return self.crop

    def _size_before_crop(self, size: Size) -> Size:
        height, width = size
        if self.size is not None:
            return self.size
        if self.resize is not None:
            scale = self.resize / min(height, width)
        elif self.crop is not None:
            scale = max(self.crop[0] / height, self.crop[1] / width)
        else:
            return height, width
        return max(1, round(height * scale)), max(1, round(width * scale))

    def __str__(self) -> str:
        """In words: resized to 256 (shorter side), the middle 224×224."""
        said = []
        if self.size is not None:
            said.append(f"resized to {_by(self.size)}")
        if self.resize is not None:
            said.append(f"resized to {self.resize} (shorter side)")
        if self.crop is not None:
            said.append(f"the middle {_by(self.crop)}")
        if self.channels is not None:
            said.append("grey" if self.channels == 1 else "colour")
        return ", ".join(said) or "as they are"


AS_THEY_ARE = Preparation()
"""Pictures keep their size and colours."""


def _in_colours(image: Tensor, channels: int) -> Tensor:
    """(…, C, h, w) with this many channels; transparent pixels become white."""
    own = image.shape[-3]
    if own == channels:
        return image
    if own in (2, 4) and channels in (1, 3):
        alpha = image[..., -1:, :, :]
        image, own = 1 + alpha * (image[..., :-1, :, :] - 1), own - 1
    if own == channels:
        return image
    if channels == 3 and own == 1:
        return image.expand(*image.shape[:-3], 3, -1, -1)
    if channels == 1 and own == 3:
        return (image * image.new_tensor(_GREY).view(3, 1, 1)).sum(-3, keepdim=True)
    raise InputError(f"channels: expected pictures with 1 to 4 channels, got {own}")


def _resized(image: Tensor, size: Size, bicubic: bool) -> Tensor:
    if image.shape[-2:] == torch.Size(size):
        return image
    several = image if image.ndim == 4 else image[None]
    mode = "bicubic" if bicubic else "bilinear"
    resized = F.interpolate(several, size, mode=mode, antialias=True).clamp(0, 1)
    return resized if image.ndim == 4 else resized[0]


def _cropped(image: Tensor, size: Size) -> Tensor:
    height, width = image.shape[-2:]
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return image[..., top : top + size[0], left : left + size[1]]


def _by(size: Size) -> str:
    return f"{size[0]}×{size[1]}"
