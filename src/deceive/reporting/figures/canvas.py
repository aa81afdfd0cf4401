"""A figure laid out in pixels: images and lines of text at given places. Colours and sizes."""

import math
from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

from deceive.reporting.figures.files import pixels_of

# A power of two, so that whole pixels stay whole through inches and back.
_DPI = 128

GAP = 28
"""Space between images, and to the edge, in pixels."""

LINE = 26
"""Height of a line of text, in pixels."""

COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1d1d1f")
"""Of curves: most colour-blind people can tell them apart (Okabe and Ito 2008)."""

INK, FAINT, ACCENT = "#1d1d1f", "#8a8a8e", "#c0392b"


def blank(width: int, height: int) -> Figure:
    """An empty figure of this size in pixels."""
    return Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")


def canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure and axes that cover it: a unit is a pixel, (0, 0) the upper left corner."""
    figure = blank(width, height)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.axis("off")
    return figure, axes


def fitting(levels: NDArray[Any], most: int) -> tuple[int, int]:
    """Width and height in pixels at which to show images (…, H, W).

    The greatest whole multiple of their own size, at least 1, whose sides don't exceed `most`.

    >>> import numpy as np
    >>> from deceive.reporting.figures.canvas import fitting
    >>> fitting(np.zeros((10, 1, 28, 28)), most=100)
    (84, 84)
    """
    height, width = levels.shape[-2:]
    scale = max(1, most // max(height, width))
    return width * scale, height * scale


def place_image(axes: Axes, image: NDArray[Any], left: int, top: int, wide: int, high: int) -> None:
    """Show an image (C, H, W) uint8 in a rectangle of whole pixels, without smoothing."""
    place = (left, left + wide, top + high, top)
    # As colours, grey ones too: a colour map would round some of the 256 shades to others.
    pixels = pixels_of(image if len(image) == 3 else image.repeat(3, axis=0))
    axes.imshow(pixels, extent=place, aspect="auto", interpolation="nearest")


def place_text(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    lines: float = 1,
    align: str = "center",
    colour: str = INK,
    weight: str = "normal",
) -> None:
    """Write one line of text, centred on `y`.

    Args:
        axes: those of `canvas`.
        x: where it is aligned.
        y: its middle.
        text: shown as it is, dollar signs too.
        lines: height of the letters, in lines.
        align: which part of it is at `x`: `left`, `center` or `right`.
        colour: of the letters.
        weight: Matplotlib's: normal or bold.
    """
    axes.text(
        x,
        y,
        text,
        ha=align,
        va="center",
        color=colour,
        weight=weight,
        fontsize=points(lines),
        parse_math=False,
    )


def wide_enough(texts: Iterable[str], *, lines: float = 1) -> int:
    """Width in pixels of the longest of some lines of text, as `place_text` writes them.

    >>> from deceive.reporting.figures.canvas import wide_enough
    >>> wide_enough([]), wide_enough(["a", "a longer line"]) == wide_enough(["a longer line"])
    (0, True)
    """
    letters = FontProperties(size=points(lines))
    widths = (text_to_path.get_text_width_height_descent(each, letters, False)[0] for each in texts)
    return math.ceil(max(widths, default=0) * _DPI / 72)


def points(lines: float) -> float:
    """A font size in points for letters that are this many lines high."""
    return lines * LINE * 72 / _DPI
