"""An audit in plain words."""

from pathlib import Path

from deceive.auditing.advising import advice_in_words
from deceive.auditing.applying import applied
from deceive.auditing.garbage_in_words import (
    broken,
    confidence,
    is_shy,
    likeness,
    no_threshold,
    sure_of_garbage,
    to_go_by,
)
from deceive.auditing.guessing import reads_nothing
from deceive.auditing.judges_in_words import weak_judges
from deceive.auditing.proofs_in_words import proofs_in_words
from deceive.auditing.record.measured import Headline, Outcome
from deceive.auditing.record.schema import AuditReport
from deceive.common.checks import counted

# The gradient is suspected if the black box does better by this much.
_MASKED = 0.1

_BY = {
    "white": "An attacker who follows its gradient",
    "black": "An attacker who sees its answers alone",
}


def verdict(report: AuditReport, folder: Path | None = None) -> list[str]:
    """The results in sentences, the most important one first; empty without results.

    The report's warnings come first, because with any the figures may be misleading.

    Args:
        report: what the audit found.
        folder: its run folder, for the lines of Python that apply its advice.
    """
    headline = report.headline
    said = [*report.warnings]
    if report.failures and report.clean is None:
        said.append("It failed on the real images, and everything else is measured against those.")
    elif report.failures:
        said.append(
            f"It failed in {counted(len(report.failures), 'part')} of the audit, so the figures "
            "cover only the others."
        )
    if is_meaningless(report):
        return said + _accuracy(report)
    if headline is not None:
        said.append(_first(report, headline))
        said += weak_judges(report, headline.outcome(to_go_by(report)))
    said += sure_of_garbage(report)
    said += proofs_in_words(report)
    said += advice_in_words(report)
    said += applied(report, folder)
    if headline is not None:
        said += _other_threshold(report, headline)
        said += _masked(report)
    if not report.judges and headline is not None:
        said.append(
            "There was no judge, so this is the fooling rate: images that really show the class "
            "count too."
        )
    said += likeness(report)
    said += no_threshold(report)
    said += broken(report)
    return said + _accuracy(report)


def is_meaningless(report: AuditReport) -> bool:
    """Whether it reads no better than guessing, which makes the other figures meaningless."""
    clean = report.clean
    return clean is not None and reads_nothing(clean.accuracy, report.data.n_classes)


def _accuracy(report: AuditReport) -> list[str]:
    clean = report.clean
    if clean is None:
        return []
    return [
        f"It reads {clean.accuracy:.2%} of the test images correctly; its confidence has an "
        f"expected calibration error of {clean.calibration_error:.1%}."
    ]


def _first(report: AuditReport, headline: Headline) -> str:
    """How often it is fooled, at the threshold to go by."""
    name = to_go_by(report)
    outcome = headline.outcome(name)
    level = f"{confidence(report, name)} sure" + (" (its own threshold)" * (name == "own"))
    things = "gibberish" if outcome.gibberish_rate is not None else "an image made for it"
    count = round(outcome.rate * outcome.candidates)
    if count == 0:
        real = round(outcome.fooling_rate * outcome.candidates)
        told = f" {real:,} ended at images in which most judges see the class too." if real else ""
        return (
            f"None of {counted(outcome.candidates, 'attempt')} made it {level} of {things}; with "
            f"more effort, or in another way, some might.{told}"
        )
    return (
        f"{_BY[headline.box]} makes it at least {level} of {things} in {count:,} of "
        f"{counted(outcome.candidates, 'attempt')} ({outcome.rate:.1%})"
        + ("." if outcome.effort is None else f", in a median of {_effort(headline, outcome)}.")
    )


def _other_threshold(report: AuditReport, headline: Headline) -> list[str]:
    """What its own threshold means, and the rate at the threshold not yet named."""
    own, asked = report.threshold("own"), report.threshold("asked")
    if own is None or asked is None:
        return []
    meaning = "the confidence that 95% of the correctly read validation images reach"
    if is_shy(report):
        level = confidence(report, "asked")
        return [
            f"It is {level} sure of only {asked.reached:.1%} of the real test images, so its own "
            f"threshold counts: {meaning}. At {level}, {headline.outcome('asked').rate:.1%} of the "
            "attempts succeed."
        ]
    return [
        f"At its own threshold, {confidence(report, 'own')}, {headline.outcome('own').rate:.1%} of "
        f"the attempts succeed. That threshold is {meaning}."
    ]


def _masked(report: AuditReport) -> list[str]:
    boxes = {headline.box: headline for headline in report.headlines}
    if len(boxes) < 2:
        return []
    rates = {box: found.outcome(to_go_by(report)).rate for box, found in boxes.items()}
    if rates["black"] <= rates["white"] + _MASKED:
        return []
    return [
        f"Search without a gradient succeeds more often ({rates['black']:.1%}) than the gradient "
        f"({rates['white']:.1%}): the gradient is probably masked, and its rate says little."
    ]


def failures(report: AuditReport) -> list[str]:
    """The reasons for failures, each once, with the parts that failed."""
    parts: dict[str, list[str]] = {}
    for failure in report.failures:
        parts.setdefault(failure.reason, []).append(failure.part)
    return [f"{_some(names)}: {reason}" for reason, names in parts.items()]


def did_less(report: AuditReport) -> str:
    """What was left out to fit the budget, in a sentence or several; empty if nothing was."""
    if not report.reductions:
        return ""
    said = "; ".join(each[:1].lower() + each[1:].rstrip(".") for each in report.reductions)
    return f"To fit its budget, this audit did less than usual: {said}. --budget none does it all."


def still_to_come(report: AuditReport) -> str:
    """The parts that are missing, the first of them by name; empty if there are none."""
    return _some(report.missing)


def _some(names: list[str], most: int = 5) -> str:
    others = len(names) - most
    return "; ".join(names[:most]) + (f"; and {others} more" if others > 0 else "")


def _effort(headline: Headline, outcome: Outcome) -> str:
    one, several = ("step", "steps") if headline.box == "white" else ("query", "queries")
    return f"{outcome.effort:g} {one if outcome.effort == 1 else several}"
