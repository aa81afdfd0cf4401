"""What a model declares about its images and labels, and the preparation that follows from it."""

from dataclasses import dataclass

from deceive.auditing.models.interface import Interface, Scaling
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
    scaling: Scaling | None = None
    """How its pixels are scaled."""
    class_names: tuple[str, ...] | None = None
    """A name for each output, in order."""
    source: str = ""
    """Where this is written: "its shape", "its image processor"; empty if nothing is."""


NOTHING = Wants()
"""Declares nothing."""


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
    return Preparation(wants.channels, said.size, said.resize, said.crop)
