"""The tables of an audit's page."""

from collections.abc import Iterator
from math import floor
from typing import Any

from deceive.auditing.advising import limit_in_words
from deceive.auditing.proofs_in_words import proof_columns, proof_rows
from deceive.auditing.record.advice import options
from deceive.auditing.record.measured import KINDS, SCORES, THRESHOLDS, Outcome, Resemblance
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import percent, sure
from deceive.auditing.verdict import is_meaningless
from deceive.reporting.grids import Grid

# The settings of an audit, in words; those of the gradient attacks come first.
_OF_GRADIENTS = {
    "ways": "gradient attacks",
    "starts": "kinds of start",
    "candidates": "candidates from each start",
    "steps": "steps of a candidate, at most",
    "restarts": "attempts of a candidate that restarts",
    "every_curve": "curves from every kind of start",
}
_OF_ALL = {
    "confidence": "confidence asked for",
    "curve_candidates": "candidates of each curve",
    "searched": "candidates of each search",
    "queries": "queries of a candidate, at most",
    "real_images": "real images of each split, at most",
    "garbage_images": "garbage images of each kind",
    "every_search": "every search",
    "certify": "proofs",
    "seed": "seed",
}


def rates(report: AuditReport) -> Grid:
    """All attacks together at both thresholds."""
    what = [("fooling rate", "fooling_rate")]
    if report.judges:
        what.append(("gibberish rate", "gibberish_rate"))
    boxes = [f"{each.box} box: {name}" for each in report.headlines for name, _ in what]
    rows = []
    for each in report.thresholds:
        outcomes = [headline.outcome(each.name) for headline in report.headlines]
        reached = (percent(each.any_class_share), percent(each.test_share))
        found = [percent(getattr(outcome, field)) for outcome in outcomes for _, field in what]
        rows.append((THRESHOLDS[each.name], sure(each.confidence), *reached, *found))
    reach = ("real test images that reach it", "… with their own class")
    columns = ("Threshold", "confidence", *reach, *boxes)
    return Grid("The rates at both thresholds", columns, rows)


def scores(report: AuditReport) -> Grid:
    """For each score its threshold, and how much of real images and of garbage it keeps out."""
    known = [] if is_meaningless(report) else options(report.limits, report.garbage)
    kinds = [kind for kind in reversed(KINDS) if known and kind in known[0].stopped]
    best = None
    rows = []
    for place, each in enumerate(known):
        if report.advice is not None and each.limit.score == report.advice.limit.score:
            best = place
        real = (limit_in_words(each.limit), percent(each.limit.test_share))
        stopped = (f"{floor(round(each.stopped[kind] * 100, 6))}%" for kind in kinds)
        rows.append((SCORES[each.limit.score], *real, *stopped))
    columns = ("Score", "answer", "real kept", *(KINDS[kind] for kind in kinds))
    return Grid("Scores, one a row", columns, rows, best, dense=True)


def likeness(found: Resemblance) -> Grid:
    """Fooling images beside real ones."""
    rows = (
        ("distance to the nearest real image", *_three(found.nearest, found.real_nearest)),
        (
            "energy in high frequencies",
            percent(found.high_frequencies),
            percent(found.real_high_frequencies),
        ),
        ("could be real by both", percent(found.alike), "–"),
    )
    return Grid(
        "Fooling images and real ones", ("", "images that fool it", "real test images"), rows
    )


def garbage(report: AuditReport) -> Grid:
    """What the model says about each kind of garbage."""
    rubbish = report.model.rubbish_class is not None
    rows = []
    for each in report.garbage:
        if not each.images:
            continue  # no curve ended at gibberish
        msp = each.scores.get("msp")
        shares = [each.mean_confidence, each.asked_share, each.own_share]
        shares += [each.caught] if rubbish else []
        auroc = "–" if msp is None else f"{msp.auroc:.3f}"
        rows.append((KINDS[each.kind], f"{each.images:,}", *map(percent, shares), auroc))
    level = f"at least {sure(report.settings.confidence)} sure"
    columns = ["Garbage", "images", "mean confidence", level, "sure by its own threshold"]
    columns += ["caught as rubbish"] if rubbish else []
    return Grid("Garbage, one kind a row", (*columns, "AUROC of its confidence"), rows)


def proofs(report: AuditReport) -> Grid:
    """For how much of each kind of garbage it is proved that nothing near it gets the threshold."""
    return Grid("What is proved, one kind a row", proof_columns(report), proof_rows(report))


def attacks(report: AuditReport) -> Grid:
    """Each attack from each kind of start."""
    asked = sure(report.settings.confidence)
    nonsense = ["gibberish"] if report.judges else []

    def found(outcome: Outcome) -> list[str]:
        shares = [outcome.fooling_rate] + ([outcome.gibberish_rate] if report.judges else [])
        return [*map(percent, shares)]

    rows = []
    for each in report.attacks:
        first, second = each.outcomes
        median = "–" if first.median is None else f"{first.median:g}"
        tried = (each.name, each.start, f"{first.candidates:,}")
        rows.append((*tried, *found(first), median, *found(second)))
    columns = ("Attack", "start", "candidates", f"fooled at {asked}", *nonsense, "median")
    return Grid("Attacks, one a row", (*columns, "fooled at its own", *nonsense), rows)


def settings(report: AuditReport) -> Iterator[tuple[str, Any]]:
    """How much the audit did, by words; of a black box without what concerns gradients."""
    words = (_OF_GRADIENTS if report.model.white_box else {}) | _OF_ALL
    for name, said in words.items():
        yield said, getattr(report.planned, name)


def _three(*values: float | None) -> list[str]:
    return ["–" if value is None else f"{value:.3f}" for value in values]
