"""Rows of the contests → pictures."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.contest import Row, Spread, significant

# Told apart by most colour-blind eyes (Okabe and Ito 2008).
_LINES = {
    "rounds": ("#d55e00", "a classifier's gradient, after the rounds"),
    "VAE": ("#0072b2", "VAE"),
    "diffusion": ("#009e73", "diffusion model"),
}
_FAINT = "#8a8a8e"


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
