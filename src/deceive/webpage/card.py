"""The picture that other sites show with a link to the page."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deceive.reporting.figures.canvas import ACCENT, canvas, place_image, place_text
from deceive.reporting.figures.files import save

_WIDE, _HIGH = 1200, 630  # what social networks crop least
_SIDE = 392  # of an image: 14 × 28, so that its pixels stay squares
_TOP = 150


def write_card(path: Path, images: NDArray[np.uint8], says: list[str]) -> None:
    """Write a PNG of 1200 × 630 pixels: two images side by side, with a line below each.

    Args:
        path: where it goes.
        images: two, (2, H, W) levels.
        says: the two lines.
    """
    figure, axes = canvas(_WIDE, _HIGH)
    place_text(axes, _WIDE / 2, 75, "99% sure of static", lines=2.4)
    gap = (_WIDE - 2 * _SIDE) // 3
    for number, (image, line) in enumerate(zip(images, says, strict=True)):
        left = gap + number * (_SIDE + gap)
        place_image(axes, image[None], left, _TOP, _SIDE, _SIDE)
        place_text(axes, left + _SIDE / 2, _TOP + _SIDE + 45, line, lines=1.1)
    axes.plot([0, _WIDE], [_HIGH - 3, _HIGH - 3], color=ACCENT, linewidth=6)
    save(figure, path)
