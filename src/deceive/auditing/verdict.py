"""An audit in plain words."""

from deceive.auditing.advising import advice_in_words
from deceive.auditing.garbage_in_words import (
    broken,
    confidence,
    is_shy,
    likeness,
    no_threshold,
    sure_of_garbage,
)
from deceive.auditing.record.measured import Headline, Outcome
from deceive.auditing.record.schema import AuditReport

# The gradient is suspected if the black box does better by this much.
_MASKED = 0.1

_BY = {
    "white": "An attacker with its gradient",
    "black": "An attacker without its gradient",
}


def verdict(report: AuditReport) -> list[str]:
    """The results in sentences, the most important one first; empty without results.

    The report's warnings come first, because with any the figures may be misleading.
    """
    headline = report.headline
    said = [*report.warnings]
    if report.failures and report.clean is None:
        said.append("It failed on the real images, and everything else is measured against those.")
    elif report.failures:
        said.append(
            f"It failed in {len(report.failures)} parts of the audit, so the figures cover only "
            "the others."
        )
    if headline is not None:
        said.append(_at_asked(report, headline))
    said += sure_of_garbage(report)
    said += advice_in_words(report)
    if headline is not None:
        said += _at_own(report, headline)
        said += _masked(report)
    if not report.judges and headline is not None:
        said.append(
            "There was no judge, so that this is the fooling rate: an image that really shows the "
            "class counts like one that shows nothing."
        )
    said += likeness(report)
    said += no_threshold(report)
    said += broken(report)
    if report.clean is not None:
        said.append(
            f"It reads {report.clean.accuracy:.2%} of the test images correctly; the expected "
            f"calibration error of its confidence is {report.clean.calibration_error:.1%}."
        )
    return said


def _at_asked(report: AuditReport, headline: Headline) -> str:
    outcome = headline.outcome("asked")
    asked = confidence(report, "asked")
    things = "gibberish" if outcome.gibberish_rate is not None else "an image made for it"
    count = round(outcome.rate * outcome.candidates)
    if count == 0:
        return (
            f"None of {outcome.candidates:,} candidates made it {asked} sure of {things}; with "
            "more effort, or in another way, some might."
        )
    return (
        f"{_BY[headline.box]} makes it at least {asked} sure of {things} with {count:,} of "
        f"{outcome.candidates:,} candidates, {outcome.rate:.1%}"
        + ("." if outcome.effort is None else f", in a median of {_effort(headline, outcome)}.")
    )


def _at_own(report: AuditReport, headline: Headline) -> list[str]:
    own, asked = report.threshold("own"), report.threshold("asked")
    if own is None or asked is None:
        return []
    said = [
        f"Its own threshold is {confidence(report, 'own')}, the confidence that 95% of the "
        f"validation images it reads correctly reach; there the rate is "
        f"{headline.outcome('own').rate:.1%}."
    ]
    if is_shy(report):
        said.append(
            f"It is shy: it is {confidence(report, 'asked')} sure of {asked.test_share:.1%} of "
            "the real test images, so that the figure at its own threshold is the one to go by."
        )
    return said


def _masked(report: AuditReport) -> list[str]:
    boxes = {headline.box: headline for headline in report.headlines}
    if len(boxes) < 2:
        return []
    rates = {box: found.outcome("asked").rate for box, found in boxes.items()}
    if rates["black"] <= rates["white"] + _MASKED:
        return []
    return [
        f"Search without a gradient does better ({rates['black']:.1%}) than the gradient "
        f"({rates['white']:.1%}): the gradient is probably masked, and says little."
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
    said = " ".join(report.reductions)
    return f"To fit the budget it did less: {said} --budget none does everything."


def still_to_come(report: AuditReport) -> str:
    """The parts that are missing, the first of them by name; empty if there are none."""
    return _some(report.missing)


def _some(names: list[str], most: int = 5) -> str:
    others = len(names) - most
    return "; ".join(names[:most]) + (f"; and {others} more" if others > 0 else "")


def _effort(headline: Headline, outcome: Outcome) -> str:
    return f"{outcome.effort:g} {'steps' if headline.box == 'white' else 'queries'}"
