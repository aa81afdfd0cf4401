"""A guarded classifier in plain words: what passes, and what fooled it before and behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from deceive.auditing.garbage_in_words import confidence, to_go_by
from deceive.auditing.proofs_in_words import proofs_in_words
from deceive.auditing.record.measured import KINDS, Name, Outcome
from deceive.auditing.record.schema import AuditReport
from deceive.auditing.shares import counted_share, in_list, sure
from deceive.common.checks import counted
from deceive.guarding.card import GuardedCard
from deceive.guarding.comparison import worst_outcome
from deceive.guarding.training import USUAL_ROUNDS, are_few

# The starts of attacks that show none of the classes, in words.
_NOTHING = {
    "uniform": "noise",
    "gaussian": "noise",
    "smooth": "noise",
    "blank": "black",
    "squares": "squares",
}


# A guard stops little if attacks succeed more often than the first share of what they did before,
# and than the second.
_LITTLE, _HARDLY_ANY = 0.5, 0.1

# With fewer training images than this, more may help.
_FEW_IMAGES = 2000


@dataclass(frozen=True)
class _Group:
    """The worst attack of a group in each of the two audits, at the threshold of that audit."""

    words: str
    before: Outcome | None
    """That of the worst one; None if none was tried."""
    after: Outcome | None


def verdict(card: GuardedCard, before: AuditReport | None, after: AuditReport | None) -> list[str]:
    """The results in sentences, the most important one first.

    Args:
        card: what the guarded classifier was set to.
        before: the audit of the classifier, finished or not; None without one.
        after: the audit of the guarded classifier.
    """
    said = card.set
    door = (
        f"Behind the guard, an image passes if one class gets at least {sure(said.threshold)}: "
        f"{said.kept:.1%} of {said.images:,} validation images do, and {said.passing_accuracy:.2%} "
        "of those are read correctly."
    )
    if before is None or after is None:
        accuracy = _accuracy("validation", said.accuracy, said.reader_accuracy)
        return [*_untaught(card, None), door, accuracy]
    group = _headline(_groups(card, before, after))
    sentences = [*_untaught(card, group), door, *_fooled(card, before, after)]
    if before.clean and after.clean:
        accuracies = (after.clean.class_accuracy, before.clean.class_accuracy)
        sentences.append(_accuracy("test", *accuracies))
    sentences += _through(card, before, after) + proofs_in_words(after)
    if before.attacks and not _judged(before, after):
        sentences.append("There was no judge, so images that really show the class count too.")
    return sentences


def thresholds(card: GuardedCard, before: AuditReport, after: AuditReport) -> tuple[Name, Name]:
    """The thresholds at which to compare the two audits.

    Behind the guard it is the one asked for, if images pass there. Otherwise both networks' own
    ones count, which let as many real images pass.
    """
    if abs(card.set.threshold - after.settings.confidence) > 1e-9:
        return "own", "own"
    return to_go_by(before), "asked"


def _untaught(card: GuardedCard, group: "_Group | None") -> list[str]:
    """That the guard stops little, or may if nothing was measured; and the likely reason."""
    guard, reason = card.guard, ""
    few = guard.rounds is not None and are_few(guard.rounds, guard.architecture)
    if few:
        rounds = counted(guard.rounds or 0, "round")
        usual = USUAL_ROUNDS[guard.architecture]
        reason = f"was trained in only {rounds} ({usual:,} are usual)"
    if group is None:
        return [f"The guard {reason}, so it may stop little."] if few else []
    assert group.before is not None
    assert group.after is not None
    if group.after.rate <= max(_LITTLE * group.before.rate, _HARDLY_ANY):
        return []
    said = "The guard stops little of what the worst attack makes."
    if few:
        return [f"{said} It {reason}: that is the likely reason."]
    if guard.images is not None and guard.images < _FEW_IMAGES:
        return [f"{said} It learned from only {counted(guard.images, 'image')}: more may help."]
    return [said]


def _accuracy(split: str, behind: float, alone: float) -> str:
    return (
        f"Of the {split} images, {behind:.2%} are read correctly behind the guard, and {alone:.2%} "
        "by the classifier alone."
    )


def _fooled(card: GuardedCard, before: AuditReport, after: AuditReport) -> list[str]:
    """How often the classifier was fooled, and how often behind the guard."""
    group = _headline(_groups(card, before, after))
    if group is None:
        return []
    earlier, later = thresholds(card, before, after)
    assert group.before is not None
    assert group.after is not None
    behind = counted_share(group.after.rate, group.after.candidates) if group.after.rate else "none"
    made = "gibberish" if _judged(before, after) else "fooling images"
    level = confidence(before, earlier) + (" (its own threshold)" if earlier == "own" else "")
    passing = "pass" if later == "asked" else f"reach {confidence(after, later)}, its own threshold"
    return [
        f"The worst attack turns {_candidates(group.before)} {group.words} into {made} that the "
        f"classifier alone is at least {level} sure of; behind the guard, {behind} {passing}."
    ]


def _through(card: GuardedCard, before: AuditReport, after: AuditReport) -> list[str]:
    """What else gets through behind the guard."""
    groups, (_, later) = _groups(card, before, after), thresholds(card, before, after)
    told = _headline(groups)
    others = [each for each in groups if each is not told and each.after is not None]
    garbage = [each for each in after.garbage if each.kind != "optimised" and each.images]
    shares = {each.kind: each.own_share if later == "own" else each.asked_share for each in garbage}
    found = [
        f"{_candidates(each.after)} {each.words}"
        for each in others
        if each.after is not None and each.after.rate
    ]
    found += [f"{share:.1%} of the {KINDS[kind]}" for kind, share in shares.items() if share]
    what, nothing_else, passing = "What still gets through", "Nothing else gets through", ""
    if later == "own":
        reaches = f"reaches {confidence(after, later)}"
        what, nothing_else = f"What else {reaches}", f"Nothing else {reaches}"
        door = sure(card.set.threshold)
        passing = f" Images already pass at {door}, so more gibberish may get through."
    if found:
        return [f"{what}: {in_list(found)}.{passing}"]
    nothing = [f"no candidate {each.words}" for each in others]
    if garbage:
        nothing.append(f"none of {sum(each.images for each in garbage):,} garbage images")
    if not nothing:
        return []
    return [
        f"{nothing_else}: {in_list(nothing)}. With more effort, or in another way, "
        f"something might.{passing}"
    ]


def _groups(card: GuardedCard, before: AuditReport, after: AuditReport) -> list[_Group]:
    """Attacks from images of nothing, those from another real image, and searches."""
    names = thresholds(card, before, after)

    def tried(start: str) -> list[bool]:
        both = zip((before, after), names, strict=True)
        return [worst_outcome(report, start, name) is not None for report, name in both]

    # Those that both tried, so that they can be compared.
    nothing = [start for start in _NOTHING if all(tried(start))]
    nothing = nothing or [start for start in _NOTHING if any(tried(start))]
    begun = in_list([*dict.fromkeys(_NOTHING[start] for start in nothing)] or ["nothing"])
    named: list[tuple[str, Sequence[str]]] = [
        (f"from {begun}", nothing),
        ("from another real image", ["real"]),
        ("of searches without a gradient", ["search"]),
    ]
    return [
        _Group(words, _worst_of(before, starts, names[0]), _worst_of(after, starts, names[1]))
        for words, starts in named
    ]


def _worst_of(report: AuditReport, starts: Sequence[str], name: Name) -> Outcome | None:
    outcomes = [worst_outcome(report, start, name) for start in starts]
    found = [each for each in outcomes if each is not None]
    return max(found, key=lambda each: each.rate, default=None)


def _candidates(outcome: Outcome) -> str:
    """The share of candidates that succeed."""
    said = counted_share(outcome.rate, outcome.candidates)
    return f"{said} candidates" if " of " in said else f"{said} of the candidates"


def _headline(groups: list[_Group]) -> _Group | None:
    """The first group that both audits tried."""
    return next((each for each in groups if None not in (each.before, each.after)), None)


def _judged(before: AuditReport, after: AuditReport) -> bool:
    return bool(before.judges and after.judges)
