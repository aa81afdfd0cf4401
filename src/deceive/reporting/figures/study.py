"""The pictures of a study, drawn from its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from deceive.reporting.figures.files import save
from deceive.reporting.figures.film import filmstrip
from deceive.reporting.figures.galleries import caption, gallery
from deceive.storage.runs import Run
from deceive.study import FILMSTRIP, STUDY, load_gallery

# The study's galleries: the arrays of this name become the picture of this name.
TITLES = {
    "mnist_confidence": "Squares of static, and what the classifier takes them for",
    "improved_model_predictions": "The same squares, read by a network that was taught noise",
    "deceive_improved": "New squares, made to deceive that network",
    "second_mispredicted": "Squares made to deceive a network that was taught such squares",
}


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
