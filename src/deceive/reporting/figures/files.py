"""Pictures → files: PNG and animated WebP. No other module writes them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from deceive.common.files import replacing


def save(figure: Figure | NDArray[Any], path: Path) -> None:
    """Write a PNG in one go, the same bytes every time."""
    with replacing(path) as temporary:
        temporary.write_bytes(png(figure))


def png(picture: Figure | NDArray[Any]) -> bytes:
    """A figure, or an image (C, H, W) uint8 with its own pixels, as the content of a PNG."""
    content = io.BytesIO()
    if isinstance(picture, Figure):
        picture.savefig(content, format="png", metadata={"Software": None})
    else:
        Image.fromarray(pixels_of(picture)).save(content, format="png")
    return content.getvalue()


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
    """(H, W), or (H, W, 3) for an image in colour."""
    return np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]
