"""The page of an audit, made from its folder: rows, settings and arrays. Asks no model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deceive.auditing.garbage_in_words import confidence, is_shy
from deceive.auditing.judges import in_words
from deceive.auditing.models.interface import Scaling
from deceive.auditing.record.assemble import write_audit
from deceive.auditing.record.measured import KINDS, OF_FEATURES
from deceive.auditing.record.outcomes import gibberish, stored_outcomes
from deceive.auditing.record.rows import AUDIT, attacked_in, followed_in
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.record.stored import (
    REAL,
    Sizes,
    garbage_name,
    load_curve,
    load_garbage,
    load_real,
    sizes_of,
)
from deceive.auditing.verdict import did_less, failures, still_to_come, verdict
from deceive.reporting import audit_tables
from deceive.reporting.figures.curves import Curve, curves
from deceive.reporting.figures.files import png
from deceive.reporting.figures.galleries import caption
from deceive.reporting.html import Picture, embedded, is_large, shown, write_page
from deceive.storage.runs import Run

# Images in a gallery of an audit.
_SHOWN = 10

# Letters of a class's name in a caption.
_LONGEST = 24


def write_audit_page(run: Run) -> Path:
    """Write `audit.json` and the page of an audit, finished or not; return the page's path.

    Raises `InputError` when the run is not an audit, or one of its files is damaged.
    """
    report = write_audit(run)
    run = run.of(AUDIT)
    panels = _panels(report)
    drawn = curves(panels, asked=run.settings["confidence"]) if panels else None
    return write_page(
        run.folder / "report.html",
        "audit.html.jinja",
        report=report,
        verdict=verdict(report, run.folder),
        less=did_less(report),
        missing=still_to_come(report),
        failures=failures(report),
        environment=run.environment,
        tables=audit_tables,
        ranked=audit_tables.scores(report),
        kinds=KINDS,
        featured=any(each.score in OF_FEATURES for each in report.limits),
        borrowed=any(each.name.startswith("made for") for each in report.attacks),
        large=is_large(report.model.image_shape),
        shy=confidence(report, "own") if is_shy(report) else None,
        real=_real_images(run, report),
        prepared=_prepared(report),
        made=_made(run, report),
        fooling=_fooling_images(run, report),
        ends=_ends(run, report),
        curves=embedded(png(drawn)) if drawn else None,
        garbage=_surest_garbage(run, report),
    )


def _panels(report: AuditReport) -> dict[str, list[Curve]]:
    """The curves by their unit: steps or queries."""
    panels: dict[str, list[Curve]] = {}
    for each in report.curves:
        label = each.name if each.start in ("uniform", "search") else f"{each.name}, {each.start}"
        line = Curve(label, each.budgets, each.mean_confidence)
        panels.setdefault(each.unit, []).append(line)
    return panels


def _real_images(run: Run, report: AuditReport) -> list[Picture]:
    """Some real images as the model gets them, each with its class and the model's answer."""
    if not run.has_arrays(REAL):
        return []
    arrays, pictures, names = load_real(run, _sizes(report)), [], in_quotes(report.data.class_names)
    for place, label in enumerate(arrays["labels"].tolist()):
        said = _answer(report, int(arrays["answers"][place]), float(arrays["confidence"][place]))
        pictures.append((shown(arrays["levels"][place]), f"{names[label]}\nread as {said}"))
    return pictures


def _made(run: Run, report: AuditReport) -> list[Picture]:
    """What the user's own function makes of them, if there is one."""
    if not run.has_arrays(REAL):
        return []
    arrays, names = load_real(run, _sizes(report)), in_quotes(report.data.class_names)
    labels = arrays["labels"].tolist()
    return [
        (shown(image), names[label])
        for image, label in zip(arrays.get("made", ()), labels, strict=False)
    ]


def _prepared(report: AuditReport) -> str:
    """How real images are prepared for the model, in words."""
    model = report.model
    if model.prepared:
        return model.prepared
    mean, std = (None if each is None else tuple(each) for each in (model.mean, model.std))
    channels, height, width = model.image_shape
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return f"{colours}, {height}×{width}, {Scaling(model.bounds, mean, std)}"


def _fooling_images(run: Run, report: AuditReport) -> list[Picture]:
    """One candidate for each of ten targets: gibberish that the model is sure of, if there is any.

    Taken from the first attack that has one, since the first attacks are the simplest.
    """
    headline, names = report.headline, in_quotes(report.data.class_names)
    found: dict[int, tuple[int, NDArray[np.uint8], str]] = {}
    for attacked in attacked_in(run):
        if headline is None or attacked.box != headline.box:
            continue
        arrays = stored_outcomes(run, attacked, _sizes(report))["asked"]
        nonsense = gibberish(arrays)
        for place, target in enumerate(arrays["targets"].tolist()):
            fooled = bool(arrays["fooled"][place])
            worth = fooled + (nonsense is not None and bool(nonsense[place]))
            if target not in found or worth > found[target][0]:
                words = caption(names[target], float(arrays["confidence"][place]), accepted=fooled)
                found[target] = (worth, arrays["levels"][place].copy(), words)
        found = dict(sorted(found.items())[:_SHOWN])
    return [(shown(levels), words) for _, levels, words in found.values()]


def _ends(run: Run, report: AuditReport) -> list[Picture]:
    """The final images of the first curve's candidates, with the judges' vote on each."""
    followed = next(iter(followed_in(run)), None)
    if followed is None:
        return []
    arrays = load_curve(run, followed, _sizes(report))
    pictures, names = [], in_quotes(report.data.class_names)
    for place, target in enumerate(arrays["targets"].tolist()[:_SHOWN]):
        words = caption(names[target], float(arrays["confidence"][-1][place]))
        if "judged" in arrays:
            words += f"\n{in_words(int(arrays['judged'][-1][place]), report.data.class_names)}"
        pictures.append((shown(arrays["levels"][-1][place]), words))
    return pictures


def _surest_garbage(run: Run, report: AuditReport) -> list[Picture]:
    """For each kind of garbage, the image that the model is surest of."""
    pictures = []
    for each in report.garbage:
        if each.kind != "optimised" and run.has_arrays(garbage_name(each.kind)):
            arrays = load_garbage(run, each.kind, _sizes(report))
            said = _answer(report, int(arrays["predicted"][0]), float(arrays["confidence"][0]))
            pictures.append((shown(arrays["levels"][0]), f"{KINDS[each.kind]}\n{said}"))
    return pictures


def _answer(report: AuditReport, output: int, confidence: float) -> str:
    """What a model answers, by the name of its class: outputs after the classes have none."""
    names = in_quotes(report.data.class_names)
    return caption(names[output] if output < len(names) else f"output {output}", confidence)


def in_quotes(names: Sequence[str]) -> list[str]:
    """Names of classes in quotation marks, cut if they are long.

    >>> in_quotes(["cat"])
    ['“cat”']
    """
    return [f"“{name if len(name) <= _LONGEST else name[: _LONGEST - 1] + '…'}”" for name in names]


def _sizes(report: AuditReport) -> Sizes:
    return sizes_of(report.model.image_shape, report.data.n_classes)
