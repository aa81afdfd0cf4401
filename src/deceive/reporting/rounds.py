"""The page of a run of rounds, made from its folder: rows, settings and pictures."""

from pathlib import Path

from deceive.reporting.findings import rounds_findings
from deceive.reporting.grids import Grid
from deceive.reporting.html import embedded, number_in_words, write_page
from deceive.storage.kinds import Row
from deceive.storage.runs import Run
from deceive.teaching import command_of
from deceive.teaching.rows import ROUNDS, settings_of

# Columns of the table of rounds, if there are such values; all are shares except for two kinds.
_COLUMNS = {
    "rubbish_images": "rubbish images",
    "fooling_rate": "fooling rate",
    "gibberish_rate": "gibberish rate",
    "median_steps": "median steps",
    "judge_agreement": "judge agrees",
    "frechet_distance": "Fréchet distance",
    "density": "density",
    "coverage": "coverage",
    "rubbish_caught": "rubbish caught",
    "digits_sure": "real images read at 0.99",
    "validation_accuracy": "real images read",
}

_PLAIN = {"rubbish_images", "median_steps"}

_DECIMAL = {"frechet_distance", "density", "coverage"}


def write_rounds_page(run: Run) -> Path:
    """Write the page of a run of rounds, finished or not; return its path.

    Raises `InputError` when it is another kind of run, or one of its files is damaged.
    """
    run = run.of(ROUNDS)
    rows = run.rows()
    played = settings_of(run.settings, run.folder)
    settings = played.model_dump(mode="json")
    shown = [row for row in rows if row["part"] == "round"]
    quality = next((row for row in rows if row["part"] == "quality"), None)
    pictures = run.folder / "images"
    return write_page(
        run.folder / "report.html",
        "rounds.html.jinja",
        settings=played,
        rows=shown,
        rollbacks=[row for row in rows if row["part"] == "rollback"],
        quality=quality,
        finished=bool(shown) and shown[-1]["round"] >= played.rounds,
        findings=rounds_findings(shown, quality),
        pictures={path.stem: embedded(path.read_bytes()) for path in pictures.glob("*.png")},
        films={path.stem: embedded(path.read_bytes(), "webp") for path in pictures.glob("*.webp")},
        table=_table(shown),
        command=command_of(played),
        facts=_flat(settings) | run.environment,
    )


def _table(rows: list[Row]) -> Grid:
    """What was measured, a round a row; only what the last round has."""
    names = [name for name in _COLUMNS if rows and name in rows[-1]]
    cells = [
        [
            number_in_words(row["round"], ","),
            number_in_words(row["seconds"], ",.0f"),
            *(number_in_words(row.get(name), _form(name)) for name in names),
        ]
        for row in rows
    ]
    columns = ["Round", "seconds", *(_COLUMNS[name] for name in names)]
    return Grid("Measures by round", columns, cells, dense=True)


def _form(name: str) -> str:
    return "g" if name in _PLAIN else ".2f" if name in _DECIMAL else ".1%"


def _flat(settings: Row, of: str = "") -> Row:
    """Nested settings as a flat mapping: `ascent, noise`."""
    found: Row = {}
    for name, value in settings.items():
        found |= (
            _flat(value, f"{of}{name}, ") if isinstance(value, dict) else {f"{of}{name}": value}
        )
    return found
