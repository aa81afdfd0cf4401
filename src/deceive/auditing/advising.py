"""What to do about garbage, in words."""

import math

from deceive.auditing.record.advice import Advice, Limit, options
from deceive.auditing.record.measured import KINDS, SCORES, ScoreName
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import in_list
from deceive.common.checks import floored

# A score helps little against a kind of garbage if it stops less than this.
_HELPS = 0.5

# From here on a share counts as nearly all.
_NEARLY_ALL = 0.95

# Below this number of images a share is given with their number.
_FEW = 100

# What each score is to its user, and whether real images are above the threshold or below.
_USES: dict[ScoreName, tuple[str, str]] = {
    "msp": ("confidence", "above"),
    "max_logit": ("greatest logit", "above"),
    "energy": ("energy (the log of the summed exponentials of its logits)", "above"),
    "entropy": ("entropy of its probabilities", "below"),
    "gen": ("generalised entropy of its probabilities (GEN)", "below"),
    "rubbish": ("rubbish probability", "below"),
    "kl_matching": (
        "divergence of its probabilities from a class’s usual ones (KL matching)",
        "below",
    ),
    "react": ("energy with clipped features (ReAct)", "above"),
    "knn": ("distance of its features from the tenth nearest of real images", "below"),
    "mahalanobis": ("squared Mahalanobis distance of its features from the nearest class", "below"),
    "vim": ("energy minus what is unusual in its features (ViM)", "above"),
}


def advice_in_words(report: AuditReport) -> list[str]:
    """What to do, in sentences: the score, what it keeps and stops, and where nothing helps."""
    advice = report.advice
    if advice is None:
        return []
    limit, stopped = advice.limit, advice.stopped.values()
    score, when = _USES[limit.score][0], limit_in_words(limit)
    use = f"Use the {score}, and answer only {when}: that"
    if sum(stopped) / len(stopped) < _HELPS:
        use = f"No score stops half of the garbage. The best is the {score}: answering only {when}"
    said = (
        f"{use} keeps {limit.validation_share:.1%} of the validation images and "
        f"{limit.test_share:.1%} of the test images, and stops {_stopped(report, advice)}."
    )
    return [
        said,
        *_optimised_against(report, advice),
        *_where_nothing_helps(report, advice),
    ]


def value_of(limit: Limit) -> str:
    """A threshold as its score is usually given: a confidence, an entropy, a distance.

    >>> value_of(Limit(score="energy", threshold=7.314, validation_share=1, test_share=1))
    '7.314'
    >>> value_of(Limit(score="msp", threshold=4.595, validation_share=1, test_share=1))
    '99.000%'
    """
    value = limit.threshold
    if limit.score == "msp":
        odds = math.exp(-abs(value))
        unsure = odds / (1 + odds)
        if value > 0 and unsure < 1e-6:
            return f"{1 - unsure:.4%} (log-odds {value:.4g})"
        return f"{1 - unsure if value > 0 else unsure:.3%}"
    if limit.score == "rubbish":
        return f"{math.exp(min(-value, 0)):.4g}"
    return f"{-value if _USES[limit.score][1] == 'below' else value:.4g}"


def limit_in_words(limit: Limit) -> str:
    """When to answer: where the score is on the right side of its threshold.

    >>> limit_in_words(Limit(score="entropy", threshold=-0.25, validation_share=1, test_share=1))
    'below 0.25'
    """
    return f"{_USES[limit.score][1]} {value_of(limit)}"


def _stopped(report: AuditReport, advice: Advice) -> str:
    """How much of each kind it stops: what is stopped least comes first."""
    worst = sorted(advice.stopped.items(), key=lambda each: each[1])
    parts = [_part(report, kind, share) for kind, share in worst if share < _NEARLY_ALL]
    others = [share for _, share in worst if share >= _NEARLY_ALL]
    other = "other " if parts else ""
    if others and others[0] == 1:
        parts.append(f"all the {other}garbage")
    elif others:
        parts.append(f"at least {floored(others[0])} of every {other}kind of garbage")
    return in_list(parts)


def _optimised_against(report: AuditReport, advice: Advice) -> list[str]:
    if "optimised" not in advice.stopped:
        if not report.complete:
            return ["Images optimised against it have no scores yet."]
        if not report.planned.curve_candidates:
            return ["Images optimised against it have no scores, as this audit followed no curves."]
        return []
    if advice.limit.score == "msp":
        return []
    return [
        "The optimised images were made to raise its confidence, not this score; an attacker who "
        "knows the score may do better."
    ]


def _where_nothing_helps(report: AuditReport, advice: Advice) -> list[str]:
    """The kinds of garbage that the score lets through, and whether others do better."""
    said, hopeless = [], []
    known = [advice, *options(report.limits, report.garbage)]
    for kind, share in advice.stopped.items():
        best = max(known, key=lambda each: each.stopped.get(kind, 0))
        most = f"{best.stopped[kind]:.1%}"
        if best.stopped[kind] < _HELPS:
            some = f"more than {_part(report, kind, best.stopped[kind])}"
            hopeless.append(some if best.stopped[kind] else f"any of the {_garbage(kind)}")
        elif share < _HELPS:
            said.append(f"“{SCORES[best.limit.score]}” stops more of the {_garbage(kind)}: {most}.")
    if hopeless:
        said.append(
            f"No score stops {in_list(hopeless, 'or')}: retrain with a rubbish class, or put a "
            "guard in front."
        )
    return said


def _part(report: AuditReport, kind: str, share: float) -> str:
    """A share of a kind of garbage, with its number of images if there are few."""
    if not share:
        return f"none of the {_garbage(kind)}"
    garbage = report.kind_of_garbage(kind)
    images = 0 if garbage is None else garbage.images - garbage.not_finite
    few = f" ({round(share * images)} of {images})" if 0 < images < _FEW else ""
    return f"{share:.1%} of the {_garbage(kind)}{few}"


def _garbage(kind: str) -> str:
    return "images optimised against it" if kind == "optimised" else KINDS[kind]
