"""Stored images and numbers → pictures. Never trains, never asks a network."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from deceive.files import replacing
from deceive.runs import Run

_ACCENT = "#c0392b"


def gallery(levels: NDArray[Any], captions: list[str], *, title: str, columns: int = 5) -> Figure:
    """Images (N, 1, H, W) uint8 in a grid, each with its caption below."""
    rows = -(-len(levels) // columns)
    figure = Figure(figsize=(1.6 * columns, 1.9 * rows + 0.5), dpi=150, layout="constrained")
    figure.suptitle(title, fontsize=11)
    for index, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if index < len(levels):
            axes.imshow(levels[index, 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(captions[index], y=-0.2, fontsize=9)
    return figure


def filmstrip(
    levels: NDArray[Any], confidence: NDArray[Any], *, target: int, asked: float, frames: int = 8
) -> Figure:
    """One image's way, levels (S + 1, 1, H, W), and its confidence (S + 1,) at every step."""
    last = len(levels) - 1
    shown = sorted({round(k * last / (frames - 1)) for k in range(frames)})
    figure = Figure(figsize=(1.25 * frames, 4.2), dpi=150, layout="constrained")
    halves = figure.subfigures(2, 1, height_ratios=(1, 1.3), squeeze=False)
    strip, below = halves[:, 0]
    for step, axes in zip(shown, strip.subplots(1, len(shown), squeeze=False).flat, strict=True):
        axes.imshow(levels[step, 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(f"step {step}: {confidence[step]:.2f}", fontsize=8)
        axes.axis("off")
    curve = below.subplots()
    curve.plot(confidence, color=_ACCENT)
    curve.plot(shown, confidence[shown], "o", color=_ACCENT)
    curve.axhline(asked, color="grey", linestyle="--", linewidth=0.8)
    curve.set(xlabel="step", ylabel=f'confidence that this is a "{target}"', ylim=(0, 1.05))
    curve.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG in one go, the same bytes every time."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def study_pictures(run: Run, asked: float) -> list[Path]:
    """Draw every picture whose arrays are in the run folder, into its `images/`."""
    titles = {
        "mnist_confidence": "What a trained classifier calls digits",
        "improved_model_predictions": "The same images, read by a network that was taught noise",
        "deceive_improved": "That network, deceived in its turn",
        "second_mispredicted": "Taught such images too, and deceived again",
    }
    drawn = []
    for name, title in titles.items():
        if not run.has_arrays(name):
            continue
        arrays = run.load_arrays(name)
        if "predicted" in arrays:
            pairs = zip(arrays["predicted"], arrays["predicted_confidence"], strict=True)
            rubbish = len(arrays["targets"])  # there is one image a class
            captions = [
                f"{'rubbish' if k == rubbish else k} · {confidence:.3f}" for k, confidence in pairs
            ]
        else:
            triples = zip(arrays["targets"], arrays["confidence"], arrays["fooled"], strict=True)
            captions = [
                f"{target} · {confidence:.3f}" if fooled else f"{target}: no, {confidence:.3f}"
                for target, confidence, fooled in triples
            ]
        path = run.folder / "images" / f"{name}.png"
        save(gallery(arrays["levels"], captions, title=title), path)
        drawn.append(path)
    if run.has_arrays("filmstrip"):
        way = run.load_arrays("filmstrip")
        path = run.folder / "images" / "filmstrip.png"
        figure = filmstrip(way["levels"], way["confidence"], target=int(way["target"]), asked=asked)
        save(figure, path)
        drawn.append(path)
    return drawn
