"""Decode a picture file of any format that Pillow reads."""

import io
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.data.readers.reader import UnreadableError

if TYPE_CHECKING:
    from PIL.Image import Image

# EPS runs Ghostscript, WMF needs Windows; Pillow only recognises the others.
_NOT_READ = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}

_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Pillow's modes for 16-bit grey."""


@cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(sorted(Image.OPEN.keys() - _NOT_READ))


@cache
def endings() -> frozenset[str]:
    """How names of picture files end: .png, .jpg and so on."""
    from PIL import Image

    formats = set(_formats())
    return frozenset(end for end, name in Image.registered_extensions().items() if name in formats)


def decoded(source: Path | bytes) -> Tensor:
    """A picture (C, h, w) uint8, upright as its EXIF data say.

    C is 1 for grey, 2 for grey and alpha, 3 for colour, 4 for colour and alpha. 16 bits become 8.
    Of an animation, the first frame.

    Raises:
        UnreadableError: when it isn't a picture, is damaged, or is too large to be one.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=_formats()) as image:
                return levels_in(image)
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError("not a picture") from error
    except FileNotFoundError as error:
        raise UnreadableError("a link that leads nowhere, or a file that is gone") from error
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise UnreadableError(f"{str(error) or type(error).__name__}") from error


def levels_in(image: "Image") -> Tensor:
    """A Pillow image (C, h, w) uint8, as `decoded`. Raises whatever its decoder does."""
    from PIL import ImageOps

    levels = _levels(ImageOps.exif_transpose(image))
    return torch.from_numpy(levels.transpose(2, 0, 1).copy())


def _levels(image: "Image") -> NDArray[np.uint8]:
    """(h, w, C), 0 to 255."""
    if image.mode in _DEEP or image.mode == "F":
        return _eight_bits(np.asarray(image))[:, :, None]
    is_grey = image.mode in ("1", "L", "LA", "La") or _has_grey_palette(image)
    is_transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or (
        "transparency" in image.info
    )
    if is_transparent:
        colours = np.asarray(image.convert("RGBA"))
        return colours[:, :, [0, 3]] if is_grey else colours
    levels = np.asarray(image.convert("L" if is_grey else "RGB"))
    return levels[:, :, None] if is_grey else levels


def _has_grey_palette(image: "Image") -> bool:
    if image.mode not in ("P", "PA") or image.palette is None:
        return False
    red, green, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).T
    return bool((red == green).all() and (green == blue).all())


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16-bit levels, or floats from 0 to 1 or to 255, as 8 bits."""
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not 0 <= low <= high <= 255:
            raise UnreadableError(f"floats from {low:g} to {high:g}, not from 0 to 1 or 255")
        scale = 255.0 if high <= 1 else 1.0
    else:
        low, high = int(values.min()), int(values.max())
        if not 0 <= low <= high <= 65535:
            raise UnreadableError(f"levels from {low:,} to {high:,}, not from 0 to 65,535")
        scale = 255 / 65535
    return np.rint(values.astype(np.float64) * scale).astype(np.uint8)
