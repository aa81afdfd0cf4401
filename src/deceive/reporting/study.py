"""The page of a study, made from its folder: rows, settings and arrays. Asks no network."""

from pathlib import Path
from typing import Any

from deceive.reporting.figures.files import png
from deceive.reporting.figures.study import TITLES, study_captions, study_filmstrip
from deceive.reporting.findings import study_findings
from deceive.reporting.grids import Grid
from deceive.reporting.html import embedded, number_in_words, write_page
from deceive.storage.kinds import Row
from deceive.storage.runs import Run
from deceive.study import FILMSTRIP, STUDY, command_of, load_gallery, settings_of

# The parts of a study, in words, each with what its row says.
_PARTS: dict[str, Row] = {
    "training the classifier": {"part": "classifier"},
    "deceiving it": {"part": "fooling"},
    "teaching a network noise, and deceiving it": {"part": "rubbish", "stage": 1},
    "teaching a network fooling images, and deceiving it": {"part": "rubbish", "stage": 2},
}

# The figures of a network once its part is complete; its row of the table is empty until then.
_MEASURES = (
    "rubbish_images",
    "test_accuracy",
    "test_accuracy_digits",
    "caught",
    "caught_all",
    "candidates",
    "fooling_rate",
    "median_steps",
    "judge_agreement",
    "chance",
)

_COLUMNS = (
    "Network taught",
    "rubbish images",
    "test digits read correctly",
    "the same, “rubbish” left out",
    "of the previous squares, caught",
    "of the previous candidates, caught",
    "fooling rate",
    "candidates",
    "median steps",
    "judge agrees",
    "chance",
)


def write_study_page(run: Run, path: Path | None = None) -> Path:
    """Write the page of a study as one self-contained file; return its path.

    Args:
        run: a study, finished or not.
        path: by default `report.html` in the run folder.

    Raises:
        InputError: when the run is not a study, or one of its files is damaged.
    """
    run = run.of(STUDY)
    settings = run.settings
    stages = _stages(run)
    return write_page(
        path or run.folder / "report.html",
        "study.html.jinja",
        settings=settings,
        environment=run.environment,
        command=command_of(settings_of(settings)),
        missing=missing_parts(run),
        seconds=sum(row["seconds"] for row in run.rows() if row["part"] != "done"),
        stages=stages,
        table=_table(stages),
        findings=study_findings(stages, settings["steps"]),
        titles=TITLES,
        galleries={name: _gallery(run, name) for name in TITLES if run.has_arrays(name)},
        filmstrip=_filmstrip(run) if run.has_arrays("filmstrip") else None,
    )


def missing_parts(run: Run) -> list[str]:
    """The missing parts of a study, in words; empty for a finished one."""
    return [words for words, like in _PARTS.items() if run.row(**like) is None]


def _stages(run: Run) -> list[Row]:
    """The rows of the networks so far, the clean one first, with None for unknown figures."""
    classifier = run.row(part="classifier")
    clean = classifier and (
        {"rubbish_images": 0, "test_accuracy_digits": classifier["test_accuracy"]}
        | classifier
        | (run.row(part="fooling") or {})
        | {"name": "digits alone"}
    )
    rows = [clean, *(run.row(part="rubbish", stage=stage) for stage in (1, 2))]
    return [dict.fromkeys(_MEASURES) | row for row in rows if row]


def _table(stages: list[Row]) -> Grid:
    """The networks, one a row."""
    rows = [
        [
            ("+ " if number else "") + stage["name"],
            number_in_words(stage["rubbish_images"], ","),
            *(number_in_words(stage[name], ".2%") for name in _MEASURES[1:3]),
            *(number_in_words(stage[name], ".1%") for name in _MEASURES[3:5]),
            number_in_words(stage["fooling_rate"], ".1%"),
            number_in_words(stage["candidates"], ","),
            number_in_words(stage["median_steps"], "g"),
            *(number_in_words(stage[name], ".1%") for name in _MEASURES[8:]),
        ]
        for number, stage in enumerate(stages)
    ]
    return Grid("The networks, one a row", _COLUMNS, rows, dense=True)


def _gallery(run: Run, name: str) -> dict[str, Any]:
    """A gallery of the study: (source, caption, target) of each image, and the outcome."""
    arrays = load_gallery(run, name)
    targets = arrays["targets"].tolist()
    sources = (embedded(png(image)) for image in arrays["levels"])
    return {
        "images": list(zip(sources, study_captions(arrays), targets, strict=True)),
        "fooled": int(arrays["fooled"].sum()),
        "caught": int((arrays.get("predicted", arrays["targets"]) == len(targets)).sum()),
    }


def _filmstrip(run: Run) -> dict[str, Any]:
    way = run.load_arrays("filmstrip", FILMSTRIP)
    return {
        "picture": embedded(png(study_filmstrip(run))),
        "target": int(way["target"]),
        "steps": len(way["levels"]) - 1,
        "start": float(way["confidence"][0]),
        "end": float(way["confidence"][-1]),
    }
