"""What a model declares about its images and labels, and the preparation that follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt

from deceive.auditing.models.interface import Interface, Scaling
from deceive.common.levels import Shape
from deceive.data.preparation import Preparation, Size


@dataclass(frozen=True)
class Wants:
    """What a model's file or configuration declares. None: it says nothing about that.

    >>> from deceive.auditing.models.wants import Wants
    >>> Wants(channels=3, resize=256, crop=(224, 224)).crop
    (224, 224)
    """

    channels: int | None = None
    """1 for grey, 3 for colour."""
    size: Size | None = None
    """(height, width) that pictures are stretched to."""
    resize: int | None = None
    """Length in pixels that a picture's shorter side is resized to."""
    crop: Size | None = None
    """(height, width) of the middle that is cut out after resizing."""
    bicubic: bool = False
    """Whether they are resized by cubic functions."""
    pixels: int | None = None
    """How many values a flat input has: channels × height × width."""
    scaling: Scaling | None = None
    """How its pixels are scaled."""
    class_names: tuple[str, ...] | None = None
    """A name for each output, in order."""
    source: str = ""
    """Where this is written: "its shape", "its image processor"; empty if nothing is."""


NOTHING = Wants()
"""Declares nothing."""


def declared_shape(shape: Sequence[object], *, last: bool = False) -> tuple[Wants, str]:
    """What the shape of an input says, without its batch, and the key of its layout in `LAYOUTS`.

    Args:
        shape: a number for each side that is fixed, anything else for a free one.
        last: whether channels come last where the shape leaves it open.

    >>> declared_shape((48, 192, 3))
    (Wants(channels=3, size=(48, 192), ..., source='the shape of its input'), 'channels last')
    >>> declared_shape((784,))[0].pixels
    784
    """
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape]
    source = "the shape of its input" if any(sides) else ""
    match sides:
        case [pixels]:
            return Wants(pixels=pixels, source=source), "flat"
        case [int() as pixels, 1, 1] if pixels not in (1, 3):
            return Wants(pixels=pixels, source=source), "flat, 1×1"
        case [height, width]:
            return Wants(1, _size(height, width), source=source), "without channels"
        case [1 | 3 as channels, height, width] if not (last and width in (1, 3)):
            return Wants(channels, _size(height, width), source=source), "channels first"
        case [height, width, 1 | 3 as channels]:
            return Wants(channels, _size(height, width), source=source), "channels last"
        case [_, _, _] if last:
            return Wants(size=_size(sides[0], sides[1]), source=source), "channels last"
    return NOTHING, "channels first"


def _size(height: int | None, width: int | None) -> Size | None:
    return None if height is None or width is None else (height, width)


def preparation_of(interface: Interface, wants: Wants) -> Preparation:
    """How pictures are brought to a model's shape.

    What the interface declares about size, resize and crop replaces all that the model declares
    about them.

    >>> from deceive import Interface
    >>> wants = Wants(channels=3, resize=256, crop=(224, 224))
    >>> str(preparation_of(Interface(), wants))
    'resized to 256 (shorter side), the middle 224×224, colour'
    >>> str(preparation_of(Interface(size=(48, 192)), wants))
    'resized to 48×192, colour'
    """
    said = interface if any((interface.size, interface.resize, interface.crop)) else wants
    return Preparation(wants.channels, said.size, said.resize, said.crop, wants.bicubic)


def as_many_pixels(preparation: Preparation, pixels: int, shape: Shape) -> Preparation:
    """The preparation with which images of this shape have so many values, if there is one.

    Other colours are tried before another size, which has to be square.

    >>> str(as_many_pixels(Preparation(), 784, (3, 28, 28)))
    'grey'
    >>> str(as_many_pixels(Preparation(), 3072, (1, 28, 28)))
    'resized to 32×32, colour'
    """
    channels, height, width = shape
    if channels * height * width == pixels:
        return preparation
    for each in (1, 3):
        if each * height * width == pixels:
            return replace(preparation, channels=each)
    for each in (1, 3):
        side = isqrt(pixels // each)
        if each * side * side == pixels:
            return Preparation(channels=each, size=(side, side))
    return preparation
