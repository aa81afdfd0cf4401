"""Rows of the contests → pictures."""

import base64
import io
import re
from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray
from PIL import Image

from benchmarks.contest import Row
from benchmarks.spread import Spread, significant
from deceive.auditing.judges import UNDECIDED, in_words
from deceive.reporting.figures import Deceived, caption, from_the_same_starts, png

Levels = NDArray[np.uint8]

# Told apart by most colour-blind eyes (Okabe and Ito 2008).
_LINES = {
    "rounds": ("#d55e00", "a classifier's gradient, after the rounds"),
    "rounds, as they come": ("#e69f00", "– neither polished nor drawn again"),
    "VAE": ("#0072b2", "VAE"),
    "diffusion": ("#009e73", "diffusion model"),
    "Discriminator Flow": ("#cc79a7", "Discriminator Flow"),
    "JEM": ("#56b4e9", "JEM"),
}
_FAINT = "#8a8a8e"


# The names of the classes.
_DIGITS = "0123456789"


def quality_against_time(rows: Sequence[Row]) -> Figure:
    """Fréchet distance against minutes of training, both logarithmic; a point for each training.

    Lines go through the medians over seeds. Dashed: what as many real images get.
    """
    figure = Figure(figsize=(8.75, 5), dpi=128, facecolor="white", layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log")
    for name, (colour, label) in _LINES.items():
        own = [row for row in rows if row["contestant"] == name]
        if not own:
            continue
        axes.plot(
            [row["seconds"] / 60 for row in own],
            [row["frechet_distance"] for row in own],
            "o",
            color=colour,
            alpha=0.4,
            markersize=4,
        )
        budgets = sorted({row["minutes"] for row in own})
        of_budget = [[row for row in own if row["minutes"] == budget] for budget in budgets]
        axes.plot(
            [Spread.of(row["seconds"] / 60 for row in of).median for of in of_budget],
            [Spread.of(row["frechet_distance"] for row in of).median for of in of_budget],
            "o-",
            color=colour,
            linewidth=2,
            label=label,
        )
    floor = Spread.of(row["floor_frechet_distance"] for row in rows).median
    axes.axhline(floor, color=_FAINT, linestyle="--", linewidth=1, label="real training images")
    axes.set_xlabel("minutes of training")
    axes.set_ylabel("Fréchet distance to the test images, judge's features")
    axes.xaxis.set_major_locator(FixedLocator(sorted({row["minutes"] for row in rows})))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: significant(value)))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


def ends(rows: Sequence[Row], *, columns: int = 10) -> Figure:
    """What attacks end in: a column each, a few candidates below one another.

    Under each image what the network says of it and what most judges see. There are as many bands
    of at most so many columns as it takes.
    """
    high = max(len(row["shown"]["targets"]) for row in rows)
    bands = -(-len(rows) // columns)
    columns = -(-len(rows) // bands)
    figure = Figure(
        figsize=(1.5 * columns, bands * (1.75 * high + 0.9)),
        dpi=100,
        facecolor="white",
        layout="constrained",
    )
    grid = figure.subplots(bands * high, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, row in enumerate(rows):
        band, column = divmod(place, columns)
        shown = row["shown"]
        images = _unstripped(shown["png"], len(shown["targets"]))
        facts = zip(images, shown["targets"], shown["confidence"], shown["judged"], strict=True)
        for below, (image, target, confidence, judged) in enumerate(facts):
            axes = grid[band * high + below, column]
            axes.set_axis_on()
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            axes.set(xticks=(), yticks=())
            axes.set_xlabel(
                f"{caption(target, confidence)}\n{in_words(judged, _DIGITS)}", fontsize=9
            )
            if below == 0:
                name, _, effort = row["attack"].rpartition(", ")
                axes.set_title(f"{_broken(name)}\n{effort}", fontsize=8)
    return figure


def same_starts(result: Row) -> Figure:
    """What deceives each network from the same starts, and what a majority of judges sees."""
    kept = [row for row in result["rows"] if "shown" in row]
    targets = kept[0]["shown"]["targets"]
    deceived = []
    for row in kept:
        its = row["shown"]
        facts = zip(its["judged"], its["fooled"], strict=True)
        said = [_seen(judged) if fooled else "not fooled" for judged, fooled in facts]
        levels = np.stack(_unstripped(its["png"], len(targets)))[:, None]
        deceived.append(Deceived(row["network"], row["made_for"], levels, said))
    starts = np.stack(_unstripped(result["starts"], len(targets)))[:, None]
    return from_the_same_starts(starts, targets, deceived)


def drawn_side_by_side(rows: Sequence[Row], *, columns: int = 3) -> Figure:
    """One image of each class by every contestant after every budget, of the first seed."""
    first = min(row["seed"] for row in rows)
    budgets = sorted({row["minutes"] for row in rows})
    names = [name for name in _LINES if any(row["contestant"] == name for row in rows)]
    bands = -(-len(names) // columns)
    figure = Figure(
        figsize=(4.2 * columns, (0.46 * len(budgets) + 0.4) * bands),
        dpi=128,
        facecolor="white",
        layout="constrained",
    )
    grid = figure.subplots(bands * len(budgets), columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=(), yticks=())
        axes.spines[:].set_visible(False)
    for number, name in enumerate(names):
        top, across = number // columns * len(budgets), number % columns
        grid[top, across].set_title(_LINES[name][1], fontsize=9)
        for row in rows:
            if row["contestant"] == name and row["seed"] == first:
                axes = grid[top + budgets.index(row["minutes"]), across]
                axes.imshow(_picture(row["shown"]), cmap="gray", vmin=0, vmax=255)
    for down in range(bands * len(budgets)):
        grid[down, 0].set_ylabel(
            f"{budgets[down % len(budgets)]:g} min", fontsize=8, rotation=0, ha="right", va="center"
        )
    return figure


def stripped(levels: Levels) -> str:
    """Images (N, 1, H, W) uint8 side by side, as a PNG in base64: few bytes of a row."""
    return base64.b64encode(png(np.concatenate(list(levels), axis=2))).decode()


def _unstripped(strip: str, count: int) -> list[Levels]:
    """So many images (H, W) uint8 of what `stripped` gave."""
    return np.split(_picture(strip), count, axis=1)


def _picture(strip: str) -> Levels:
    with Image.open(io.BytesIO(base64.b64decode(strip))) as opened:
        return np.asarray(opened)


def _seen(judged: int) -> str:
    return "undecided" if judged == UNDECIDED else f"“{judged}”"


def _broken(name: str) -> str:
    """A name in short lines; LongNamesOfClasses are broken before a capital letter."""
    return fill(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name), 20)
