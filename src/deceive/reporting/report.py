"""A run folder → one page that explains itself: rows, settings and arrays in, HTML out.

Nothing is trained and no network is asked. A run that is not finished has a page too, of the parts
that are there.
"""

import base64
import math
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from deceive.auditing.assemble import gibberish, stored_outcomes, write_audit
from deceive.auditing.judges import in_words
from deceive.auditing.rows import (
    AUDIT,
    Sizes,
    garbage_name,
    load_curve,
    load_garbage,
    sizes_of,
)
from deceive.auditing.schema import KINDS, Report
from deceive.auditing.verdict import failures, still_to_come, sure, verdict
from deceive.common.checks import counted
from deceive.common.files import write_text
from deceive.reporting.figures import (
    TITLES,
    Curve,
    caption,
    curves,
    png,
    study_captions,
    study_filmstrip,
)
from deceive.storage.runs import Row, Run
from deceive.study import FILMSTRIP, STUDY, command, load_gallery
from deceive.teaching import command as rounds_command
from deceive.teaching.rows import ROUNDS, settings_of

# The parts of a study, in words, each with what its row says.
_PARTS: dict[str, Row] = {
    "training the classifier": {"part": "classifier"},
    "deceiving it": {"part": "fooling"},
    "teaching a network noise, and deceiving it": {"part": "rubbish", "stage": 1},
    "teaching a network fooling images, and deceiving it": {"part": "rubbish", "stage": 2},
}

# An image's source, and its caption.
Picture = tuple[str, str]

# Images in a gallery of an audit.
_SHOWN = 10

# What is known of a network once its part is whole; its place in the table is empty until then.
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


# Columns of the table of rounds, where there are such values; shares but for two kinds.
_ROUND_COLUMNS = {
    "rubbish_images": "rubbish images",
    "fooling_rate": "fooling rate",
    "gibberish_rate": "gibberish rate",
    "median_steps": "median steps",
    "judge_agreement": "judge agrees",
    "frechet_distance": "Fréchet distance",
    "density": "density",
    "coverage": "coverage",
    "rubbish_caught": "rubbish caught",
    "digits_sure": "real images at 0.99",
    "validation_accuracy": "real images read",
}
_PLAIN_COLUMNS = {"rubbish_images", "median_steps"}
_DECIMAL_COLUMNS = {"frechet_distance", "density", "coverage"}


def write_report(run: Run, path: Path | None = None) -> Path:
    """Write the page of a study, whole in one file; give back where it is.

    Args:
        run: a study, finished or not.
        path: by default `report.html` in the run folder.

    Raises:
        InputError: when the run is no study, or a file of it is damaged.
    """
    run = run.of(STUDY)
    settings = run.settings
    stages = _stages(run)
    page = _template("report.html.jinja").render(
        settings=settings,
        environment=run.environment,
        command=command(settings),
        missing=missing_parts(run),
        seconds=sum(row["seconds"] for row in run.rows() if row["part"] != "done"),
        stages=stages,
        finding=finding(stages, settings["steps"]),
        titles=TITLES,
        galleries={name: _gallery(run, name) for name in TITLES if run.has_arrays(name)},
        filmstrip=_filmstrip(run) if run.has_arrays("filmstrip") else None,
    )
    path = path or run.folder / "report.html"
    write_text(path, page)
    return path


def write_audit_page(run: Run) -> Path:
    """Write `audit.json` and the page of an audit, finished or not; give back where the page is.

    Raises `InputError` when the run is no audit, or a file of it is damaged.
    """
    report = write_audit(run)
    run = run.of(AUDIT)
    panels: dict[str, list[Curve]] = {}
    for each in report.curves:
        label = each.name if each.start in ("uniform", "search") else f"{each.name}, {each.start}"
        line = Curve(label, each.budgets, each.mean_confidence)
        panels.setdefault(each.unit, []).append(line)
    drawn = curves(panels, asked=run.settings["confidence"]) if panels else None
    page = _template("audit.html.jinja").render(
        report=report,
        verdict=verdict(report),
        missing=still_to_come(report),
        failures=failures(report),
        environment=run.environment,
        kinds=KINDS,
        fooling=_fooling_images(run, report),
        ends=_ends(run, report),
        curves=_embedded(png(drawn)) if drawn else None,
        garbage=_surest_garbage(run, report),
    )
    path = run.folder / "report.html"
    write_text(path, page)
    return path


def write_rounds_report(run: Run) -> Path:
    """Write the page of a run of rounds, finished or not; give back where it is.

    Raises `InputError` when the run is another, or a file of it is damaged.
    """
    run = run.of(ROUNDS)
    rows = run.rows()
    played = settings_of(run.settings, run.folder)
    settings = played.model_dump(mode="json")
    shown = [row for row in rows if row["part"] == "round"]
    quality = next((row for row in rows if row["part"] == "quality"), None)
    pictures = run.folder / "images"
    page = _template("rounds.html.jinja").render(
        settings=played,
        rows=shown,
        rollbacks=[row for row in rows if row["part"] == "rollback"],
        quality=quality,
        finished=bool(shown) and shown[-1]["round"] >= played.rounds,
        finding=rounds_finding(shown, quality),
        pictures={path.stem: _embedded(path.read_bytes()) for path in pictures.glob("*.png")},
        columns=_ROUND_COLUMNS,
        plain=_PLAIN_COLUMNS,
        decimals=_DECIMAL_COLUMNS,
        command=rounds_command(played),
        facts=_flat(settings) | run.environment,
    )
    path = run.folder / "report.html"
    write_text(path, page)
    return path


def _flat(settings: Row, of: str = "") -> Row:
    """Settings and those inside of them by one name each: `ascent, noise`."""
    found: Row = {}
    for name, value in settings.items():
        found |= (
            _flat(value, f"{of}{name}, ") if isinstance(value, dict) else {f"{of}{name}": value}
        )
    return found


def rounds_finding(rows: list[Row], quality: Row | None) -> list[str]:
    """What the rounds came to, in sentences, the most important one first; none without rows.

    Args:
        rows: of the rounds shown, the first one first.
        quality: the row of the final judgement, where there is one.
    """
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    seen, before = last["judge_agreement"], first["judge_agreement"]
    rounds = (
        f"After {counted(last['round'], 'round')}" if last["round"] else "Before the first round"
    )
    said = [
        f"{rounds} the judge, another network, takes {seen:.1%} of the images for their targets; "
        f"it began with {before:.1%}."
    ]
    if "fooling_rate" in last:
        said.append(
            f"The network is fooled by {last['fooling_rate']:.1%} of fresh candidates, as against "
            f"{first['fooling_rate']:.1%} to begin with."
        )
    if "gibberish_rate" in last:
        said.append(
            f"It is 0.99 sure of {last['digits_sure']:.1%} of the real validation images, and of "
            f"gibberish with {last['gibberish_rate']:.1%} of the candidates: those that get there "
            "and are not what they are taken for in the eyes of the judge."
        )
    if quality:
        said.append(
            f"Of {quality['images']:,} images drawn at the end from fresh noise it takes "
            f"{quality['judge_agreement']:.2%} for their targets. A network that was trained on "
            "those images alone, and never saw a real one, reads "
            f"{quality['classification_accuracy_score']:.2%} of the real test images."
        )
    said.append(
        f"The last network reads {last['test_accuracy']:.2%} of the test images, “rubbish” left "
        f"out. The rounds took {last['seconds'] / 60:.1f} minutes."
    )
    return said


def missing_parts(run: Run) -> list[str]:
    """The parts of a study that are not there yet, in words; none of a finished one."""
    return [words for words, like in _PARTS.items() if run.row(**like) is None]


def finding(stages: list[Row], steps: int) -> list[str]:
    """What the numbers say, in sentences, the most important one first; none without numbers.

    Args:
        stages: the networks: the clean one, then the taught ones. Each has the values of its rows,
            and None for what is not known yet.
        steps: the most that a candidate might take.
    """
    deceived = [stage for stage in stages if stage["fooling_rate"] is not None]
    if not deceived:
        return []
    clean, last = deceived[0], deceived[-1]
    taught = last is not clean
    if last["fooling_rate"]:
        still = "still " if taught else ""
        said = [f"The network is {still}fooled, by {last['fooling_rate']:.1%} of all candidates."]
    else:
        said = [
            f"None of {last['candidates']:,} candidates fooled the network within {steps:,} steps; "
            "with more steps, or in another way, some might."
        ]
    if taught:
        said += _harder(clean, last)
        said.append(
            f"It takes {last['caught_all']:.1%} of what was made to deceive the network before it "
            f"for rubbish. It reads {last['test_accuracy']:.2%} of the test digits rightly; the "
            f"clean network reads {clean['test_accuracy']:.2%}."
        )
    agreement, chance = clean["judge_agreement"], clean["chance"]
    # Two standard errors of a share that is really `chance`.
    spread = 2 * math.sqrt(chance * (1 - chance) / clean["candidates"])
    said.append(
        f"The judge, another network, takes {agreement:.1%} of the clean network’s candidates for "
        f"the digit that was wanted; guessing would give {chance:.1%}. "
        + (
            "That is more, so there is something in them that it looks for as well."
            if agreement > chance + spread
            else "So it sees no such digits in them."
        )
    )
    return said


def _harder(clean: Row, last: Row) -> list[str]:
    """One sentence on whether `last` was harder to fool, if both were fooled at all."""
    before, after = clean["median_steps"], last["median_steps"]
    if before is None or after is None:
        return []
    fewer = last["fooling_rate"] - clean["fooling_rate"]
    # Where few candidates succeed they are the easy ones, so neither number says it alone.
    if fewer <= 0 and after >= before:
        verdict = "harder" if (fewer, after) != (0, before) else "neither harder nor easier"
    else:
        verdict = "easier" if fewer >= 0 and after <= before else "harder in one way only"
    times = f", {after / before:.3g} times as many" if before else ""
    return [
        f"Fooling it became {verdict}: the median fooling image took {before:g} steps with the "
        f"clean network and takes {after:g} with the one taught {last['name']}{times}; "
        f"{last['fooling_rate']:.1%} of the candidates succeed, and {clean['fooling_rate']:.1%} "
        "did before."
    ]


def _stages(run: Run) -> list[Row]:
    """The rows of the networks that are there, the clean one first, with None for the unknown."""
    classifier = run.row(part="classifier")
    clean = classifier and (
        {"rubbish_images": 0, "test_accuracy_digits": classifier["test_accuracy"]}
        | classifier
        | (run.row(part="fooling") or {})
        | {"name": "digits alone"}
    )
    rows = [clean, *(run.row(part="rubbish", stage=stage) for stage in (1, 2))]
    return [dict.fromkeys(_MEASURES) | row for row in rows if row]


def _gallery(run: Run, name: str) -> dict[str, Any]:
    """A gallery of the study: (source, caption, target) of each image, and what came of them."""
    arrays = load_gallery(run, name)
    targets = arrays["targets"].tolist()
    sources = (_embedded(png(image)) for image in arrays["levels"])
    return {
        "images": list(zip(sources, study_captions(arrays), targets, strict=True)),
        "fooled": int(arrays["fooled"].sum()),
        "caught": int((arrays.get("predicted", arrays["targets"]) == len(targets)).sum()),
    }


def _filmstrip(run: Run) -> dict[str, Any]:
    way = run.load_arrays("filmstrip", FILMSTRIP)
    return {
        "picture": _embedded(png(study_filmstrip(run))),
        "target": int(way["target"]),
        "steps": len(way["levels"]) - 1,
        "start": float(way["confidence"][0]),
        "end": float(way["confidence"][-1]),
    }


def _fooling_images(run: Run, report: Report) -> list[Picture]:
    """One candidate for each of ten targets: gibberish that the model is sure of, if there is any.

    From the first attack that has one, so that the pictures are the plainest attack's.
    """
    headline = report.headline
    found: dict[int, tuple[int, Picture]] = {}
    for row in run.rows():
        if headline is None or row.get("box") != headline.box or "attack" not in row:
            continue
        arrays = stored_outcomes(run, row, _sizes(report))["asked"]
        nonsense = gibberish(arrays)
        for place, target in enumerate(arrays["targets"].tolist()):
            fooled = bool(arrays["fooled"][place])
            worth = fooled + (nonsense is not None and bool(nonsense[place]))
            if target not in found or worth > found[target][0]:
                words = caption(target, float(arrays["confidence"][place]), accepted=fooled)
                found[target] = (worth, (_embedded(png(arrays["levels"][place])), words))
    return [picture for _, (_, picture) in sorted(found.items())][:_SHOWN]


def _ends(run: Run, report: Report) -> list[Picture]:
    """What the first curve's candidates end in, with what most judges see in each."""
    row = next((row for row in run.rows() if "curve" in row), None)
    if row is None:
        return []
    arrays = load_curve(run, row, _sizes(report))
    pictures = []
    for place, target in enumerate(arrays["targets"].tolist()[:_SHOWN]):
        words = caption(target, float(arrays["confidence"][-1][place]))
        if "judged" in arrays:
            words += f"\n{in_words(int(arrays['judged'][-1][place]))}"
        pictures.append((_embedded(png(arrays["levels"][-1][place])), words))
    return pictures


def _surest_garbage(run: Run, report: Report) -> list[Picture]:
    """Of each kind of garbage the image that the model is surest of."""
    pictures = []
    for each in report.garbage:
        if each.kind != "optimised" and run.has_arrays(garbage_name(each.kind)):
            arrays = load_garbage(run, each.kind, _sizes(report))
            said = caption(int(arrays["predicted"][0]), float(arrays["confidence"][0]))
            pictures.append((_embedded(png(arrays["levels"][0])), f"{KINDS[each.kind]}\n{said}"))
    return pictures


def _sizes(report: Report) -> Sizes:
    return sizes_of(report.model.image_shape, report.data.n_classes)


def _embedded(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _template(name: str) -> Any:
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda value, digits=1: _number(value, f".{digits}%")
    environment.filters["count"] = lambda value: _number(value, ",")
    environment.filters["plain"] = lambda value: _number(value, "g")
    environment.filters["sure"] = sure
    return environment.get_template(name)


def _source(name: str) -> str:
    templates = resources.files("deceive.reporting").joinpath("templates")
    return templates.joinpath(name).read_text(encoding="utf-8")


def _number(value: Any, form: str) -> str:
    """A number in a form, or a dash for what is not there (or is no number)."""
    return format(value, form) if isinstance(value, int | float) else "–"
