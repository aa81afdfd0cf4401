"""Images in a grid, each with its caption."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from numpy.typing import NDArray

from deceive.common.checks import floored
from deceive.reporting.figures.canvas import (
    ACCENT,
    FAINT,
    GAP,
    INK,
    LINE,
    canvas,
    fitting,
    place_image,
    place_text,
    wide_enough,
)

_SIDE = 196  # of one image, at most, where its own pixels are fewer
_TITLE = 1.1  # height of its letters, in lines


def gallery(levels: NDArray[Any], captions: list[str], *, title: str, columns: int = 5) -> Figure:
    """Images (N, C, H, W) uint8 in a grid, each with its caption below, under a title."""
    columns = min(columns, len(levels))
    rows = -(-len(levels) // columns)
    wide, high = fitting(levels, _SIDE)
    head, cell = 2 * LINE + GAP, high + 2 * LINE + GAP // 2
    each = max(wide + GAP, wide_enough(captions) + GAP // 2)
    width = max(columns * each + GAP, wide_enough([title], lines=_TITLE) + 2 * GAP)
    edge = (width - columns * each + GAP) // 2
    figure, axes = canvas(width, head + rows * cell)
    place_text(axes, width / 2, head / 2, title, lines=_TITLE)
    for index, (image, words) in enumerate(zip(levels, captions, strict=True)):
        row, column = divmod(index, columns)
        left, top = edge + column * each + (each - GAP - wide) // 2, head + row * cell
        place_image(axes, image, left, top, wide, high)
        place_text(axes, left + wide / 2, top + high + LINE, words)
    return figure


class Deceived(NamedTuple):
    """A row of `from_the_same_starts`: a network, its purpose and its images."""

    name: str
    made_for: str
    levels: NDArray[Any]
    """(N, C, H, W) uint8, an image for each start."""
    seen: Sequence[str]
    """The caption of each image."""


def from_the_same_starts(
    starts: NDArray[Any], targets: Sequence[int], networks: Sequence[Deceived]
) -> Figure:
    """A column per start (N, C, H, W) uint8 and its target; below it, each network's image.

    Captions that differ from the target are highlighted.
    """
    wide, high = fitting(starts, 84)
    edge, gap, head, foot = 190, 10, 2 * LINE, round(1.5 * LINE)
    width = edge + len(starts) * (wide + gap) + gap
    below = head + high + 2 * gap  # top of the networks' rows
    figure, axes = canvas(width, below + len(networks) * (high + foot))

    def say(y: float, text: str, lines: float, colour: str = INK, weight: str = "normal") -> None:
        place_text(
            axes, edge - 2 * gap, y, text, lines=lines, align="right", colour=colour, weight=weight
        )

    def show(levels: NDArray[Any], top: int) -> None:
        for column, image in enumerate(levels):
            place_image(axes, image, edge + column * (wide + gap), top, wide, high)

    middles = [edge + column * (wide + gap) + wide / 2 for column in range(len(starts))]
    say(head / 2, "to be taken for", 0.7, FAINT)
    for middle, target in zip(middles, targets, strict=True):
        place_text(axes, middle, head / 2, f"“{target}”", lines=0.8)
    say(head + high / 2, "the same starts", 0.7, FAINT)
    show(starts, head)
    for row, network in enumerate(networks):
        top = below + row * (high + foot)
        say(top + high / 2 - 0.45 * LINE, network.name, 0.9, weight="bold")
        say(top + high / 2 + 0.45 * LINE, network.made_for, 0.6, FAINT)
        say(top + high + 0.5 * LINE, "judges see", 0.6, FAINT)
        show(network.levels, top)
        for middle, target, seen in zip(middles, targets, network.seen, strict=True):
            colour = INK if seen == f"“{target}”" else ACCENT
            place_text(axes, middle, top + high + 0.5 * LINE, seen, lines=0.6, colour=colour)
    return figure


def caption(label: int | str, confidence: float, *, accepted: bool = True) -> str:
    """A network's answer to an image: `“5” 99.3%`, `rubbish 97.1%`, or `“5” only 43.0%`.

    The share is rounded down, so that 99% means at least 99%.

    >>> from deceive.reporting.figures import caption
    >>> caption(5, 0.98999, accepted=False)
    '“5” only 98.9%'
    """
    said = label if isinstance(label, str) else f"“{label}”"
    return f"{said} {'' if accepted else 'only '}{floored(confidence)}"
