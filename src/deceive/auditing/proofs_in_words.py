"""What is proved of a model, in a sentence and a table's rows."""

from math import floor

from deceive.auditing.record.measured import KINDS, Proved
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import in_list, sure


def proofs_in_words(report: AuditReport) -> list[str]:
    """For how much garbage it is proved that nothing near it gets the threshold, if asked."""
    found = report.certificate
    if found is None:
        return []
    if found.reason is not None:
        return [f"Nothing can be proved about it: {found.reason}."]
    level = sure(found.threshold)
    if not any(each.share for each in found.proved):
        away = " or ".join(f"{each:g}" for each in epsilons(found.proved))
        return [
            f"Nothing is proved: interval bounds can't rule out a confidence of {level} near any "
            f"of the garbage, within ε = {away} a pixel. That is usual for networks that weren't "
            "trained for such bounds."
        ]
    said = []
    for epsilon in epsilons(found.proved):
        kinds = [each for each in found.proved if each.epsilon == epsilon]
        images = sum(each.images for each in kinds)
        share = sum(each.share * each.images for each in kinds) / max(images, 1)
        least = min(kinds, key=lambda each: each.share)
        said.append(
            f"ε = {epsilon:g} of {down(share)} of {images:,} images of garbage "
            f"(of {KINDS[least.kind]} {down(least.share)}, the least)"
        )
    return [f"It is proved that nothing makes it {level} sure of a class within {in_list(said)}."]


def epsilons(proved: list[Proved]) -> list[float]:
    """The distances, the smallest first."""
    return sorted({each.epsilon for each in proved})


def proof_rows(report: AuditReport) -> list[tuple[str, ...]]:
    """For each kind of garbage the share that is proved, at each distance."""
    found = report.certificate
    if found is None:
        return []
    shares = {(each.kind, each.epsilon): each.share for each in found.proved}
    return [
        (KINDS[kind], *(down(shares[kind, epsilon]) for epsilon in epsilons(found.proved)))
        for kind in dict.fromkeys(each.kind for each in found.proved)
        if all((kind, epsilon) in shares for epsilon in epsilons(found.proved))
    ]


def proof_columns(report: AuditReport) -> tuple[str, ...]:
    """The heads of these rows."""
    found = report.certificate
    away = [] if found is None else epsilons(found.proved)
    return ("garbage", *(f"proved within ε = {each:g}" for each in away))


def down(share: float) -> str:
    """A share in per cent, rounded down, so that it claims no more than is proved.

    >>> down(0.9999), down(1.0), down(0.29)
    ('99.9%', '100.0%', '29.0%')
    """
    return f"{floor(round(share * 1000, 6)) / 10:.1f}%"
