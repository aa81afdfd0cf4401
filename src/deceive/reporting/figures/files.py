"""Writing pictures to files, as PNG or WebP. No other module does."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from deceive.common.files import replacing

# The longer side of a photograph.
_SIDE = 224


def save(picture: Figure | NDArray[Any], path: Path) -> bytes:
    """Write a PNG atomically, with the same bytes every time, and return its content."""
    content = png(picture)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return content


def png(picture: Figure | NDArray[Any]) -> bytes:
    """A figure, or an image (C, H, W) uint8 with its own pixels, as the content of a PNG."""
    content = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(content, format="png", metadata={"Software": None})
    else:
        Image.fromarray(pixels_of(picture)).save(content, format="png")
    return content.getvalue()


def photograph(image: NDArray[Any]) -> bytes:
    """A large image (C, H, W) uint8 as a WebP of at most 224 pixels a side, to save space."""
    content = io.BytesIO()
    picture = Image.fromarray(pixels_of(image))
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    picture.save(content, format="webp", quality=85)
    return content.getvalue()


def read_png(content: bytes) -> NDArray[np.uint8]:
    """The pixels of an image's PNG, (C, H, W) uint8.

    >>> levels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    >>> np.array_equal(read_png(png(levels)), levels)
    True
    """
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.array(image)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def save_film(frames: Sequence[NDArray[Any]], path: Path) -> None:
    """Write images (C, H, W) uint8 as an animated WebP: 0.9 s each, the last one 3 s."""
    first, *rest = [Image.fromarray(pixels_of(frame)) for frame in frames]
    content = io.BytesIO()
    first.save(
        content,
        format="webp",
        save_all=True,
        append_images=rest,
        duration=[900] * len(rest) + [3000],
        loop=0,
        quality=70,
    )
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def pixels_of(image: NDArray[Any]) -> NDArray[Any]:
    """(H, W), or (H, W, C) for an image of three or four channels."""
    return np.moveaxis(image, 0, -1) if len(image) in (3, 4) else image[0]
