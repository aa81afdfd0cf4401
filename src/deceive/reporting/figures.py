"""Stored images and numbers → pictures. Never trains, never asks a network."""

import io
import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deceive.common.files import replacing
from deceive.common.plotting import import_matplotlib
from deceive.storage.runs import Run, round_name
from deceive.study import FILMSTRIP, STUDY, load_gallery
from deceive.teaching.rows import ROUNDS, load_made

import_matplotlib()

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.ticker import MaxNLocator, NullLocator  # noqa: E402

# The study's galleries: the arrays of this name become the picture of this name.
TITLES = {
    "mnist_confidence": "Squares of static, and what the classifier takes them for",
    "improved_model_predictions": "The same squares, read by a network that was taught noise",
    "deceive_improved": "Squares made anew, to deceive that network",
    "second_mispredicted": "Squares made to deceive a network that was taught such squares",
}

# Sizes are in pixels. A power of two keeps them whole through inches and back.
_DPI = 128
_GAP = 28
_SIDE = 196  # of one image, at most, where its own pixels are fewer
_LINE = 26  # the height of the letters

# Told apart by most colour-blind eyes (Okabe and Ito 2008).
_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1d1d1f")

_INK, _FAINT, _ACCENT = "#1d1d1f", "#8a8a8e", "#c0392b"


class Curve(NamedTuple):
    """A line of `curves`."""

    label: str
    budgets: Sequence[int]
    mean_confidence: Sequence[float]


class Deceived(NamedTuple):
    """A row of `from_the_same_starts`: a network, its purpose and its images."""

    name: str
    made_for: str
    levels: NDArray[Any]
    """(N, C, H, W) uint8, an image for each start."""
    seen: Sequence[str]
    """The caption of each image."""


def gallery(levels: NDArray[Any], captions: list[str], *, title: str, columns: int = 5) -> Figure:
    """Images (N, C, H, W) uint8 in a grid, each with its caption below."""
    columns = min(columns, len(levels))
    rows = -(-len(levels) // columns)
    wide, high = _size(levels, _SIDE)
    head, cell = 2 * _LINE + _GAP, high + 2 * _LINE + _GAP // 2
    width = columns * (wide + _GAP) + _GAP
    figure, page = _page(width, head + rows * cell)
    _write(page, width / 2, head / 2, title, lines=1.1)
    for index, (image, words) in enumerate(zip(levels, captions, strict=True)):
        row, column = divmod(index, columns)
        left, top = _GAP + column * (wide + _GAP), head + row * cell
        _show(page, image, left, top, wide, high)
        _write(page, left + wide / 2, top + high + _LINE, words)
    return figure


def from_the_same_starts(
    starts: NDArray[Any], targets: Sequence[int], networks: Sequence[Deceived]
) -> Figure:
    """A column per start (N, C, H, W) uint8 and its target; below it, each network's image.

    Captions that differ from the target are highlighted.
    """
    wide, high = _size(starts, 84)
    edge, gap, head, foot = 190, 10, 2 * _LINE, round(1.5 * _LINE)
    width = edge + len(starts) * (wide + gap) + gap
    below = head + high + 2 * gap  # top of the networks' rows
    figure, page = _page(width, below + len(networks) * (high + foot))

    def say(y: float, text: str, lines: float, colour: str = _INK, weight: str = "normal") -> None:
        _write(
            page, edge - 2 * gap, y, text, lines=lines, align="right", colour=colour, weight=weight
        )

    def show(levels: NDArray[Any], top: int) -> None:
        for column, image in enumerate(levels):
            _show(page, image, edge + column * (wide + gap), top, wide, high)

    middles = [edge + column * (wide + gap) + wide / 2 for column in range(len(starts))]
    say(head / 2, "to be taken for", 0.7, _FAINT)
    for middle, target in zip(middles, targets, strict=True):
        _write(page, middle, head / 2, f"“{target}”", lines=0.8)
    say(head + high / 2, "the same starts", 0.7, _FAINT)
    show(starts, head)
    for row, network in enumerate(networks):
        top = below + row * (high + foot)
        say(top + high / 2 - 0.45 * _LINE, network.name, 0.9, weight="bold")
        say(top + high / 2 + 0.45 * _LINE, network.made_for, 0.6, _FAINT)
        say(top + high + 0.5 * _LINE, "judges see", 0.6, _FAINT)
        show(network.levels, top)
        for middle, target, seen in zip(middles, targets, network.seen, strict=True):
            colour = _INK if seen == f"“{target}”" else _ACCENT
            _write(page, middle, top + high + 0.5 * _LINE, seen, lines=0.6, colour=colour)
    return figure


def filmstrip(
    levels: NDArray[Any], confidence: NDArray[Any], *, target: int, asked: float, frames: int = 8
) -> Figure:
    """One image's way, levels (S + 1, C, H, W), and its confidence (S + 1,) at every step.

    At most `frames` of them are shown, each above its point of the curve, or nearly so.
    """
    last = len(levels) - 1
    shown = sorted({round(k * last / (frames - 1)) for k in range(frames)})
    wide, high = _size(levels, 140)
    head, edge, tall = 2 * _LINE, 5 * _LINE, 300
    way = (frames - 1) * (wide + _GAP)  # from the middle of the first frame to that of the last
    width, height = way + 2 * edge, head + high + tall + 4 * _LINE
    figure, page = _page(width, height)
    for index, step in enumerate(shown):
        middle = edge + round(way * index / max(len(shown) - 1, 1))
        _show(page, levels[step], middle - wide // 2, head, wide, high)
        _write(page, middle, head / 2 + 4, f"step {step}", lines=0.85)

    curve = figure.add_axes((edge / width, 3 * _LINE / height, way / width, tall / height))
    curve.axhline(asked, color=_FAINT, linestyle="--", linewidth=1)
    curve.plot(confidence, color=_ACCENT, linewidth=2, clip_on=False)
    curve.plot(shown, confidence[shown], "o", color=_ACCENT, clip_on=False)
    curve.set(xlim=(0, max(last, 1)), ylim=(0, 1.02))
    curve.set_xlabel("step", size=_points(0.9))
    curve.set_ylabel(f"confidence in “{target}”", size=_points(0.9))
    curve.tick_params(labelsize=_points(0.8))
    curve.xaxis.set_major_locator(MaxNLocator(integer=True))
    curve.spines[["top", "right"]].set_visible(False)
    return figure


def curves(panels: Mapping[str, Sequence[Curve]], *, asked: float) -> Figure:
    """Confidence against effort, one panel for each unit of it: steps, or queries.

    Args:
        panels: unit → curves.
        asked: the confidence that counts as being sure, a dashed line.
    """
    width, height = 1120, 460
    left, gap, bottom, top = 110, 90, 3 * _LINE, _LINE
    each = (width - left - _GAP - gap * (len(panels) - 1)) / len(panels)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    for index, (unit, lines) in enumerate(panels.items()):
        place = (left + index * (each + gap), bottom, each, height - bottom - top)
        axes = figure.add_axes(
            (place[0] / width, place[1] / height, place[2] / width, place[3] / height)
        )
        axes.axhline(asked, color=_FAINT, linestyle="--", linewidth=1)
        for line, colour in zip(lines, itertools.cycle(_COLOURS), strict=False):
            axes.plot(
                line.budgets,
                line.mean_confidence,
                "o-",
                color=colour,
                label=line.label,
                clip_on=False,
            )
        axes.set(ylim=(0, 1.02), xscale="log")
        axes.set_xlabel(unit, size=_points(0.85))
        if index == 0:
            axes.set_ylabel("mean confidence in the target", size=_points(0.85))
        axes.tick_params(labelsize=_points(0.75))
        ticks = sorted({budget for line in lines for budget in line.budgets})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=_points(0.75), loc="lower right")
    return figure


def caption(label: int | str, confidence: float, *, accepted: bool = True) -> str:
    """What a network says of an image: `“5” 99.3%`, `rubbish 97.1%`, or `“5” only 43.0%`.

    The share is rounded down: 99% is never said of less.
    """
    said = label if isinstance(label, str) else f"“{label}”"
    return f"{said} {'' if accepted else 'only '}{math.floor(confidence * 1000) / 10:.1f}%"


def study_captions(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """A caption for each image of a gallery of the study, made of one image a class."""
    if "predicted" in arrays:
        rubbish = len(arrays["targets"])
        said = zip(arrays["predicted"].tolist(), arrays["predicted_confidence"], strict=True)
        return [caption("rubbish" if label == rubbish else label, share) for label, share in said]
    asked = zip(arrays["targets"].tolist(), arrays["confidence"], arrays["fooled"], strict=True)
    return [caption(target, share, accepted=bool(fooled)) for target, share, fooled in asked]


def study_pictures(run: Run) -> list[Path]:
    """Draw every picture whose arrays are in the run folder, into its `images/`."""
    run, figures = run.of(STUDY), {}
    for name, title in TITLES.items():
        if run.has_arrays(name):
            arrays = load_gallery(run, name)
            figures[name] = gallery(arrays["levels"], study_captions(arrays), title=title)
    if run.has_arrays("filmstrip"):
        figures["filmstrip"] = study_filmstrip(run)
    paths = [run.folder / "images" / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save(figure, path)
    return paths


def study_filmstrip(run: Run) -> Figure:
    """The filmstrip whose arrays are in the run folder."""
    way = run.load_arrays("filmstrip", FILMSTRIP)
    asked = run.settings["confidence"]
    return filmstrip(way["levels"], way["confidence"], target=int(way["target"]), asked=asked)


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
        figures["drawn"] = contact_sheet(_of_each_class(drawn, 20), columns=20)
        ways = run.load_arrays("ways", {"levels": "levels K S C H W"})["levels"]
        steps = np.linspace(0, ways.shape[1] - 1, 11).round().astype(int)
        figures["ways"] = contact_sheet(_flat(ways[:, steps]), columns=len(steps))
        between = run.load_arrays("between", {"levels": "levels K F C H W"})["levels"]
        figures["between"] = contact_sheet(_flat(between), columns=between.shape[1])
        near = run.load_arrays("nearest", {"levels": "levels N C H W", "nearest": "levels N C H W"})
        pairs = _flat(np.stack([near["levels"], near["nearest"]], 1))
        figures["nearest"] = contact_sheet(pairs, columns=8)
    paths = [run.folder / "images" / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save(figure, path)
    if shown:
        paths.append(run.folder / "images" / "rounds.webp")
        _animate(shown, paths[-1])
    return paths


def shown_rounds(run: Run) -> dict[int, NDArray[Any]]:
    """What each round shown came to: round → levels (K, n, C, H, W), n images of each class."""
    found: dict[int, NDArray[Any]] = {}
    run, sizes = run.of(ROUNDS), dict[str, int]()
    for row in run.rows():
        if row["part"] == "round" and run.has_arrays(name := round_name(row["round"])):
            found[row["round"]] = shown_images(load_made(run, name, **sizes))
            sizes = dict(zip("CHW", found[row["round"]].shape[2:], strict=True))
    return found


def shown_images(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Levels (K, n, C, H, W), at most ten images of each class, of stored levels and targets."""
    n_classes = int(arrays["targets"].max()) + 1
    each = min(10, len(arrays["targets"]) // n_classes)
    levels = _of_each_class(arrays, each)
    return levels.reshape(n_classes, each, *levels.shape[1:])


def emergence(shown: Mapping[int, NDArray[Any]]) -> Figure:
    """The same starts in ever later rounds: a row for each class, a column for each round."""
    some = next(iter(shown.values()))
    wide, high = _size(some[0], 84)
    head, gap = 3 * _LINE, 8
    width = len(shown) * (wide + gap) + gap
    figure, page = _page(width, head + len(some) * (high + gap))
    _write(page, width / 2, _LINE * 0.8, "after so many rounds", lines=0.8)
    for column, (number, levels) in enumerate(shown.items()):
        left = gap + column * (wide + gap)
        _write(page, left + wide / 2, head - _LINE * 0.7, f"{number:,}", lines=0.8)
        for row, images in enumerate(levels):
            _show(page, images[0], left, head + row * (high + gap), wide, high)
    return figure


def rounds_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Shares by round on the left; on the right what has another unit."""
    names = {
        "judge_agreement": "the judge sees the target",
        "fooling_rate": "candidates that fool",
        "gibberish_rate": "… and are gibberish",
        "digits_sure": "real images at 0.99",
        "rubbish_caught": "rubbish caught",
        "coverage": "coverage",
        "validation_accuracy": "real images read",
    }
    others = {"frechet_distance": "Fréchet distance", "median_steps": "median steps to fool"}
    width, height, left, gap, bottom = 1120, 460, 90, 110, 3 * _LINE
    each = (width - left - _GAP - gap) / 2
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    many = rows[-1]["round"] > 100
    colours = itertools.cycle(_COLOURS)
    for place, group in enumerate((names, others)):
        box = (left + place * (each + gap), bottom, each, height - bottom - _LINE)
        axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
        for key, label in group.items():
            line = [(row["round"], row[key]) for row in rows if row.get(key) is not None]
            if line:
                axes.plot(*zip(*line, strict=True), "o-", color=next(colours), label=label)
        if many:
            axes.set_xscale("symlog", linthresh=10)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if place == 0:
            axes.set_ylim(-0.02, 1.02)
        elif "frechet_distance" in rows[-1]:
            axes.set_yscale("log")
        axes.set_xlabel("round", size=_points(0.85))
        axes.tick_params(labelsize=_points(0.75))
        axes.spines[["top", "right"]].set_visible(False)
        if len(axes.lines) > 1:
            axes.legend(frameon=False, fontsize=_points(0.62), loc="upper left" if many else "best")
        elif axes.lines:
            axes.set_ylabel(str(axes.lines[0].get_label()), size=_points(0.85))
    return figure


def contact_sheet(levels: NDArray[Any], *, columns: int, scale: int = 2) -> NDArray[Any]:
    """Images (N, C, H, W) uint8 side by side in rows, with thin lines between: (C, H', W')."""
    rows = -(-len(levels) // columns)
    channels, height, width = levels.shape[1:]
    height, width = height * scale + 1, width * scale + 1
    sheet = np.full((channels, rows * height + 1, columns * width + 1), 64, dtype=np.uint8)
    for index, image in enumerate(levels):
        top, left = (index // columns) * height + 1, (index % columns) * width + 1
        large = image.repeat(scale, axis=1).repeat(scale, axis=2)
        sheet[:, top : top + height - 1, left : left + width - 1] = large
    return sheet


def _animate(shown: Mapping[int, NDArray[Any]], path: Path) -> None:
    """One sheet after the other, as an animated WebP."""
    first, *rest = [
        Image.fromarray(_pixels(contact_sheet(_flat(levels), columns=levels.shape[1])))
        for levels in shown.values()
    ]
    content = io.BytesIO()
    lasting = [900] * len(rest) + [3000]
    first.save(
        content,
        format="webp",
        save_all=True,
        append_images=rest,
        duration=lasting,
        loop=0,
        quality=70,
    )
    with replacing(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _flat(levels: NDArray[Any]) -> NDArray[Any]:
    """(A, B, C, H, W) → (A × B, C, H, W)."""
    return levels.reshape(-1, *levels.shape[2:])


def _of_each_class(arrays: Mapping[str, NDArray[Any]], count: int) -> NDArray[Any]:
    """The first `count` images of each class, class by class."""
    targets = arrays["targets"]
    chosen = [np.flatnonzero(targets == k)[:count] for k in range(targets.max() + 1)]
    images: NDArray[Any] = arrays["levels"][np.concatenate(chosen)]
    return images


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
        Image.fromarray(_pixels(picture)).save(content, format="png")
    return content.getvalue()


def _pixels(image: NDArray[Any]) -> NDArray[Any]:
    """(H, W), or (H, W, 3) for an image in colour."""
    return np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]


def _size(levels: NDArray[Any], most: int) -> tuple[int, int]:
    """Width and height to show images at: each pixel the same whole number of the figure's."""
    height, width = levels.shape[-2:]
    scale = max(1, most // max(height, width))
    return width * scale, height * scale


def _page(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure, and axes that cover it, with a pixel for a unit, from the upper left corner."""
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    page.axis("off")
    return figure, page


def _show(page: Axes, image: NDArray[Any], left: int, top: int, wide: int, high: int) -> None:
    place = (left, left + wide, top + high, top)
    # As colours, grey ones too: a colour map would round some of the 256 shades to others.
    pixels = _pixels(image if len(image) == 3 else image.repeat(3, axis=0))
    page.imshow(pixels, extent=place, aspect="auto", interpolation="nearest")


def _write(
    page: Axes,
    x: float,
    y: float,
    text: str,
    *,
    lines: float = 1,
    align: str = "center",
    colour: str = _INK,
    weight: str = "normal",
) -> None:
    """One line of text at (x, y), aligned to its centre, left or right."""
    page.text(
        x,
        y,
        text,
        ha=align,
        va="center",
        color=colour,
        weight=weight,
        fontsize=_points(lines),
        parse_math=False,
    )


def _points(lines: float) -> float:
    return lines * _LINE * 72 / _DPI
