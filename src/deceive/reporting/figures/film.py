"""Frames of one image as it is optimised, above the curve of its confidence."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from deceive.reporting.figures.canvas import (
    ACCENT,
    FAINT,
    GAP,
    LINE,
    canvas,
    fitting,
    place_image,
    place_text,
    points,
    wide_enough,
)


def filmstrip(
    levels: NDArray[Any], confidence: NDArray[Any], *, target: int, asked: float, frames: int = 8
) -> Figure:
    """One image at every step, levels (S + 1, C, H, W), and its confidence (S + 1,).

    At most `frames` of them are shown, each at least nearly above its point of the curve.
    """
    last = len(levels) - 1
    shown = sorted({round(k * last / (frames - 1)) for k in range(frames)})
    wide, high = fitting(levels, 140)
    head, edge, tall = 2 * LINE, 5 * LINE, 300
    each = max(wide, wide_enough((f"step {step}" for step in shown), lines=0.85)) + GAP
    way = (frames - 1) * each  # from the middle of the first frame to that of the last
    width, height = way + 2 * edge, head + high + tall + 4 * LINE
    figure, axes = canvas(width, height)
    for index, step in enumerate(shown):
        middle = edge + round(way * index / max(len(shown) - 1, 1))
        place_image(axes, levels[step], middle - wide // 2, head, wide, high)
        place_text(axes, middle, head / 2 + 4, f"step {step}", lines=0.85)

    curve = figure.add_axes((edge / width, 3 * LINE / height, way / width, tall / height))
    curve.axhline(asked, color=FAINT, linestyle="--", linewidth=1)
    curve.plot(confidence, color=ACCENT, linewidth=2, clip_on=False)
    curve.plot(shown, confidence[shown], "o", color=ACCENT, clip_on=False)
    curve.set(xlim=(0, max(last, 1)), ylim=(0, 1.02))
    curve.set_xlabel("step", size=points(0.9))
    curve.set_ylabel(f"confidence in “{target}”", size=points(0.9))
    curve.tick_params(labelsize=points(0.8))
    curve.xaxis.set_major_locator(MaxNLocator(integer=True))
    curve.spines[["top", "right"]].set_visible(False)
    return figure
