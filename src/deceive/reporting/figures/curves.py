"""Measures as curves: confidence against effort, and the measures of the rounds."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from deceive.reporting.figures.canvas import COLOURS, FAINT, GAP, LINE, blank, points


class Curve(NamedTuple):
    """A line of `curves`."""

    label: str
    budgets: Sequence[int]
    mean_confidence: Sequence[float]


def curves(panels: Mapping[str, Sequence[Curve]], *, asked: float) -> Figure:
    """Confidence against effort, one panel for each unit of effort: steps, or queries.

    Args:
        panels: unit → curves.
        asked: the confidence that counts as being sure; a dashed line.
    """
    figure, places = _side_by_side(len(panels), left=110, gap=90)
    for axes, (unit, lines) in zip(places, panels.items(), strict=True):
        axes.axhline(asked, color=FAINT, linestyle="--", linewidth=1)
        for line, colour in zip(lines, itertools.cycle(COLOURS), strict=False):
            axes.plot(
                line.budgets,
                line.mean_confidence,
                "o-",
                color=colour,
                label=line.label,
                clip_on=False,
            )
        axes.set(ylim=(0, 1.02), xscale="log")
        axes.set_xlabel(unit, size=points(0.85))
        ticks = sorted({budget for line in lines for budget in line.budgets})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.legend(frameon=False, fontsize=points(0.75), loc="best")
    places[0].set_ylabel("mean confidence in the target", size=points(0.85))
    return figure


_SHARES = {
    "judge_agreement": "the judge sees the target",
    "fooling_rate": "candidates that fool",
    "gibberish_rate": "… and are gibberish",
    "digits_sure": "real images read at 0.99",
    "rubbish_caught": "rubbish caught",
    "coverage": "coverage",
    "validation_accuracy": "real images read",
}
_OTHERS = {"frechet_distance": "Fréchet distance", "median_steps": "median steps to fool"}


def rounds_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Shares by round on the left; on the right, measures with other units."""
    figure, places = _side_by_side(2, left=90, gap=110, above=3 * LINE)
    many = rows[-1]["round"] > 100
    colours = itertools.cycle(COLOURS)
    for axes, names in zip(places, (_SHARES, _OTHERS), strict=True):
        for key, label in names.items():
            line = [(row["round"], row[key]) for row in rows if row.get(key) is not None]
            if line:
                axes.plot(*zip(*line, strict=True), "o-", color=next(colours), label=label)
        if many:
            axes.set_xscale("symlog", linthresh=10)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("round", size=points(0.85))
        if len(axes.lines) > 1:
            axes.legend(
                loc="lower left",
                bbox_to_anchor=(0, 1.01),
                borderaxespad=0,
                ncols=2,
                frameon=False,
                fontsize=points(0.62),
            )
        elif axes.lines:
            axes.set_ylabel(str(axes.lines[0].get_label()), size=points(0.85))
    places[0].set_ylim(-0.02, 1.02)
    distances = [row["frechet_distance"] for row in rows if row.get("frechet_distance")]
    if distances and max(distances) > 10 * min(distances):
        places[1].set_yscale("log")
    return figure


def _side_by_side(count: int, *, left: int, gap: int, above: int = 0) -> tuple[Figure, list[Axes]]:
    """A figure with panels of equal width.

    There are `left` pixels before the first panel, `gap` between them, and `above` for legends.
    """
    width, height, bottom = 1120, 460 + above, 3 * LINE
    each = (width - left - GAP - gap * (count - 1)) / count
    figure, places = blank(width, height), []
    for index in range(count):
        x = (left + index * (each + gap)) / width
        axes = figure.add_axes(
            (x, bottom / height, each / width, (height - bottom - LINE - above) / height)
        )
        axes.tick_params(labelsize=points(0.75))
        axes.spines[["top", "right"]].set_visible(False)
        places.append(axes)
    return figure, places
