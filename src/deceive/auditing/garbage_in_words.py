"""What an audit says about garbage and fooling images, in sentences."""

from deceive.auditing.record.measured import KINDS, Name
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import in_list, sure
from deceive.common.checks import counted

# A model is called shy if fewer real images than this share reach the asked confidence.
_SHY = 0.5

# A share of garbage that is worth a mention.
_SOME = 0.01


def is_shy(report: AuditReport) -> bool:
    """Whether the asked confidence is beyond most real images; its own threshold counts then."""
    asked = report.threshold("asked")
    return asked is not None and asked.reached < _SHY


def to_go_by(report: AuditReport) -> Name:
    """The threshold that counts: the model's own if it is shy, or else the one asked for."""
    return "own" if is_shy(report) else "asked"


def sure_of_garbage(report: AuditReport) -> list[str]:
    """Which garbage that was not optimised it is sure of, at the threshold to go by."""
    name = to_go_by(report)
    shares = {
        each.kind: share
        for each in report.garbage
        if each.kind != "optimised"
        and (share := each.own_share if name == "own" else each.asked_share) is not None
    }
    if not shares:
        return []
    unsaid = name == "own" and report.headline is None
    asked = confidence(report, name) + (" (its own threshold)" if unsaid else "")
    surest = sorted(shares, key=lambda kind: -shares[kind])
    found = [f"{shares[kind]:.1%} of the {KINDS[kind]}" for kind in surest if shares[kind] >= _SOME]
    if found:
        told = sum(shares[kind] >= shares[surest[:3][-1]] for kind in surest[: len(found)])
        others = len(found) - told
        more = [f"less of {counted(others, 'other kind')}"] if others > 0 else []
        shares_of = in_list([*found[:told], *more])
        return [f"It is at least {asked} sure of garbage that was not optimised: of {shares_of}."]
    most = shares[surest[0]]
    if not most:
        return [f"It is never at least {asked} sure of garbage that was not optimised."]
    return [
        f"It is hardly ever at least {asked} sure of garbage that was not optimised: of at most "
        f"{most:.1%}, the {KINDS[surest[0]]}."
    ]


def likeness(report: AuditReport) -> list[str]:
    """Whether the fooling images look like real ones, by their pixels."""
    found = report.resemblance
    if found is None or found.nearest is None or found.high_frequencies is None:
        return []
    return [
        f"By their pixels alone, {found.alike or 0:.0%} of the images that fool it could be real. "
        f"The nearest real image is {found.nearest:.2f} away (for test images "
        f"{found.real_nearest:.2f}; RMS difference of pixels in [0, 1]), and "
        f"{found.high_frequencies:.0%} of their energy is in high frequencies (for test images "
        f"{found.real_high_frequencies:.0%}, for static 80%)."
    ]


def no_threshold(report: AuditReport) -> list[str]:
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
        f"{auroc:.3f}, where 0.5 is guessing), so no threshold on its confidence tells the two "
        "apart."
    ]


def broken(report: AuditReport) -> list[str]:
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


def confidence(report: AuditReport, name: Name) -> str:
    """A threshold in per cent."""
    threshold = report.threshold(name)
    return "–" if threshold is None else sure(threshold.confidence)
