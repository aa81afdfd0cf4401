"""An audit in plain words."""

from deceive.auditing.advising import advice_in_words
from deceive.auditing.record.measured import KINDS, Headline, Name, Outcome
from deceive.auditing.record.schema import AuditReport

# A model is called shy if fewer real images than this share reach the asked confidence.
_SHY = 0.5

# A share of garbage that is worth a mention.
_SOME = 0.01

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
    said += _sure_of_garbage(report)
    said += advice_in_words(report)
    if headline is not None:
        said += _at_own(report, headline)
        said += _masked(report)
    if not report.judges and headline is not None:
        said.append(
            "There was no judge, so that this is the fooling rate: an image that really shows the "
            "class counts like one that shows nothing."
        )
    said += _likeness(report)
    said += _no_threshold(report)
    said += _broken(report)
    if report.clean is not None:
        said.append(
            f"It reads {report.clean.accuracy:.2%} of the test images correctly; the expected "
            f"calibration error of its confidence is {report.clean.calibration_error:.1%}."
        )
    return said


def _at_asked(report: AuditReport, headline: Headline) -> str:
    outcome = headline.outcome("asked")
    asked = _confidence(report, "asked")
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
        f"Its own threshold is {_confidence(report, 'own')}, the confidence that 95% of the "
        f"validation images it reads correctly reach; there the rate is "
        f"{headline.outcome('own').rate:.1%}."
    ]
    if _is_shy(report):
        said.append(
            f"It is shy: it is {_confidence(report, 'asked')} sure of {asked.test_share:.1%} of "
            "the real test images, so that the figure at its own threshold is the one to go by."
        )
    return said


def _is_shy(report: AuditReport) -> bool:
    asked = report.threshold("asked")
    return asked is not None and asked.test_share < _SHY


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


def _sure_of_garbage(report: AuditReport) -> list[str]:
    """Which garbage that was not optimised it is sure of, at the threshold to go by."""
    name: Name = "own" if _is_shy(report) else "asked"
    shares = {
        each.kind: share
        for each in report.garbage
        if each.kind != "optimised"
        and (share := each.own_share if name == "own" else each.asked_share) is not None
    }
    if not shares:
        return []
    asked = _confidence(report, name) + (" (its own threshold)" if name == "own" else "")
    surest = sorted(shares, key=lambda kind: -shares[kind])
    found = [f"{shares[kind]:.1%} of the {KINDS[kind]}" for kind in surest if shares[kind] >= _SOME]
    if found:
        listed = ", ".join(found[:3]) + (f" and {len(found) - 3} more kinds" * (len(found) > 3))
        return [f"Of garbage that was not optimised, it is sure, at least {asked}, of {listed}."]
    most = shares[surest[0]]
    if not most:
        return [f"It is sure, at least {asked}, of no garbage that was not optimised."]
    return [
        f"It is hardly ever sure, at least {asked}, of garbage that was not optimised: of "
        f"{most:.1%} of the {KINDS[surest[0]]} at most."
    ]


def _likeness(report: AuditReport) -> list[str]:
    """Whether the fooling images look like real ones, by their pixels."""
    found = report.resemblance
    if found is None or found.nearest is None or found.high_frequencies is None:
        return []
    return [
        f"By their pixels, {found.alike or 0:.0%} of the images that fool it could be real. Their "
        f"nearest real image is {found.nearest:.2f} away (of test images {found.real_nearest:.2f}; "
        f"RMS difference of pixels in [0, 1]); {found.high_frequencies:.0%} of their energy is in "
        f"high frequencies (of test images {found.real_high_frequencies:.0%}, of static 80%)."
    ]


def _no_threshold(report: AuditReport) -> list[str]:
    """Whether its confidence ranks a kind of garbage above real images."""
    rivals = [
        (each.scores["msp"].auroc, each.kind)
        for each in report.garbage
        if "msp" in each.scores and each.kind != "optimised"
    ]
    if not rivals or min(rivals)[0] >= 0.5:
        return []
    auroc, kind = min(rivals)
    return [
        f"It is surer of {KINDS[kind]} than of real images more often than not (AUROC "
        f"{auroc:.3f}, where 0.5 is guessing), so that no threshold on its confidence tells the "
        "two apart."
    ]


def _broken(report: AuditReport) -> list[str]:
    """What it answered with NaN or infinity."""
    said = []
    if report.clean is not None and report.clean.not_finite:
        said.append(
            f"It answered {report.clean.not_finite:,} real images with NaN or infinity; they count "
            "as misread."
        )
    return said + [
        f"It answered {each.not_finite:,} of {each.images:,} images of {KINDS[each.kind]} with "
        "NaN or infinity."
        for each in report.garbage
        if each.not_finite
    ]


def failures(report: AuditReport) -> list[str]:
    """The reasons for failures, each once, with the parts that failed."""
    parts: dict[str, list[str]] = {}
    for failure in report.failures:
        parts.setdefault(failure.reason, []).append(failure.part)
    return [f"{_some(names)}: {reason}" for reason, names in parts.items()]


def still_to_come(report: AuditReport) -> str:
    """The parts that are missing, the first of them by name; empty if there are none."""
    return _some(report.missing)


def _some(names: list[str], most: int = 5) -> str:
    others = len(names) - most
    return "; ".join(names[:most]) + (f"; and {others} more" if others > 0 else "")


def sure(confidence: float) -> str:
    """A confidence in per cent, with enough digits to distinguish it from certainty.

    >>> sure(0.99), sure(0.999987)
    ('99%', '99.9987%')
    """
    digits = 2 if confidence < 0.9995 else 4
    return f"{confidence * 100:.{digits}f}".rstrip("0").rstrip(".") + "%"


def _confidence(report: AuditReport, name: Name) -> str:
    threshold = report.threshold(name)
    return "–" if threshold is None else sure(threshold.confidence)


def _effort(headline: Headline, outcome: Outcome) -> str:
    return f"{outcome.effort:g} {'steps' if headline.box == 'white' else 'queries'}"
