"""The pictures of a run of rounds, drawn from its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deceive.reporting.figures.canvas import (
    GAP,
    LINE,
    canvas,
    fitting,
    place_image,
    place_text,
    wide_enough,
)
from deceive.reporting.figures.curves import rounds_curves
from deceive.reporting.figures.files import save, save_film
from deceive.reporting.figures.sheets import contact_sheet, flat, of_each_class, shown_images
from deceive.storage.runs import Run, round_name
from deceive.teaching.rows import ROUNDS, load_made


def rounds_pictures(run: Run) -> list[Path]:
    """Draw every picture that a run of rounds has the rows and arrays for, into its `images/`."""
    run = run.of(ROUNDS)
    shown = shown_rounds(run)
    figures: dict[str, Figure | NDArray[Any]] = {}
    if shown:
        figures["rounds"] = emergence(shown)
        figures["curves"] = rounds_curves([row for row in run.rows() if row["part"] == "round"])
    if run.has_arrays("drawn"):
        drawn = load_made(run, "drawn")
        figures["drawn"] = contact_sheet(of_each_class(drawn, 20), columns=20)
        near = run.load_arrays("nearest", {"levels": "levels N C H W", "nearest": "levels N C H W"})
        pairs = flat(np.stack([near["levels"], near["nearest"]], 1))
        figures["nearest"] = contact_sheet(pairs, columns=8)
    if run.has_arrays("ways"):
        ways = run.load_arrays("ways", {"levels": "levels K S C H W"})["levels"]
        steps = np.linspace(0, ways.shape[1] - 1, 11).round().astype(int)
        figures["ways"] = contact_sheet(flat(ways[:, steps]), columns=len(steps))
        between = run.load_arrays("between", {"levels": "levels K F C H W"})["levels"]
        figures["between"] = contact_sheet(flat(between), columns=between.shape[1])
    paths = [run.folder / "images" / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save(figure, path)
    if shown:
        paths.append(run.folder / "images" / "rounds.webp")
        frames = [contact_sheet(flat(each), columns=each.shape[1]) for each in shown.values()]
        save_film(frames, paths[-1])
    return paths


def shown_rounds(run: Run) -> dict[int, NDArray[Any]]:
    """The images of each round shown: round → levels (K, n, C, H, W), n images of each class."""
    found: dict[int, NDArray[Any]] = {}
    run, sizes = run.of(ROUNDS), dict[str, int]()
    for row in run.rows():
        if row["part"] == "round" and run.has_arrays(name := round_name(row["round"])):
            found[row["round"]] = shown_images(load_made(run, name, **sizes))
            sizes = dict(zip("CHW", found[row["round"]].shape[2:], strict=True))
    return found


def emergence(shown: Mapping[int, NDArray[Any]]) -> Figure:
    """The same starts in later and later rounds: a row per class, a column per round."""
    some = next(iter(shown.values()))
    wide, high = fitting(some[0], 84)
    head, gap = 3 * LINE, 8
    title, numbers = "after so many rounds", [f"{number:,}" for number in shown]
    each = max(wide, wide_enough(numbers, lines=0.8)) + gap
    width = max(len(shown) * each + gap, wide_enough([title], lines=0.8) + GAP)
    edge = (width - len(shown) * each + gap) // 2
    figure, axes = canvas(width, head + len(some) * (high + gap))
    place_text(axes, width / 2, LINE * 0.8, title, lines=0.8)
    for column, (number, levels) in enumerate(zip(numbers, shown.values(), strict=True)):
        left = edge + column * each + (each - gap - wide) // 2
        place_text(axes, left + wide / 2, head - LINE * 0.7, number, lines=0.8)
        for row, images in enumerate(levels):
            place_image(axes, images[0], left, head + row * (high + gap), wide, high)
    return figure
