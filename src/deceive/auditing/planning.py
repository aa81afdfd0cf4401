"""The plan of an audit: as much as fits the budget, spread over all that it does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deceive.auditing.estimate import SECTIONS, Facts, Section, estimated
from deceive.auditing.settings import AuditSettings

# What share of the time each section is given if all want more.
_SHARES: Mapping[Section, float] = {"real": 0.2, "garbage": 0.15, "gradient": 0.45, "search": 0.2}


@dataclass(frozen=True)
class Rung:
    """One way to do less: no more than this, and as many of the counted things as fit."""

    least: int
    """Fewer of them, and the next rung is tried."""
    most: Mapping[str, Any] = field(default_factory=dict)
    """For numbers the most of each, for tuples what of them is kept."""


@dataclass(frozen=True)
class Ladder:
    """How a section does less."""

    counted: str
    """The setting that is made as great as fits."""
    rungs: tuple[Rung, ...]
    """From the fullest; the last is the least that is done."""
    optional: bool = False
    """Whether the section is left out if even that doesn't fit."""


def _rung(least: int, ways: str, starts: str, curves: int, steps: int) -> Rung:
    kept = {"ways": tuple(ways.split()), "starts": tuple(starts.split())}
    return Rung(least, kept | {"curve_candidates": curves, "steps": steps, "restarts": 1})


_ALONG = Ladder(
    "candidates",
    (
        *(Rung(20, {"steps": steps}) for steps in (10**9, 3000, 1000, 500, 200, 100)),
        _rung(12, "momentum adam smoothed", "uniform smooth real", 8, 100),
        _rung(8, "momentum adam", "uniform real", 4, 60),
        _rung(6, "momentum", "uniform real", 4, 50),
        _rung(6, "momentum", "uniform", 0, 30),
        _rung(4, "momentum", "uniform", 0, 20),
        _rung(4, "momentum", "uniform", 0, 10),
    ),
)
_SEARCHED = tuple(Rung(4, {"queries": most}) for most in (10**9, 3000, 1000, 500, 250))

LADDERS: Mapping[Section, Ladder] = {
    "real": Ladder("real_images", (Rung(20),)),
    "garbage": Ladder("garbage_images", (Rung(20),)),
    "gradient": _ALONG,
    "search": Ladder("searched", (*_SEARCHED, Rung(1, {"queries": 100})), optional=True),
}
"""In the order in which they are planned: the last gets what the others leave."""


def planned(settings: AuditSettings, facts: Facts, seconds: float) -> AuditSettings:
    """The settings that fit into so many seconds; the same ones if everything fits.

    What was set explicitly (`model_fields_set`) stays. Every section keeps a minimum, except that
    the search of a model with a gradient is left out if that doesn't fit.
    """
    full = estimated(settings, facts)
    if sum(full.values()) <= seconds:
        return settings
    given = _allotted(full, seconds)
    left = seconds
    for name, ladder in LADDERS.items():
        allowed = max(given[name], left) if name == "search" else given[name]
        settings = _reduced(settings, facts, name, ladder, allowed)
        left -= SECTIONS[name](settings, facts)
    return settings


def _allotted(wanted: Mapping[Section, float], seconds: float) -> dict[Section, float]:
    """Seconds for each section: its share, and of what others leave."""
    given: dict[Section, float] = {}
    open_ones = dict(wanted)
    while open_ones:
        whole = sum(_SHARES[name] for name in open_ones)
        left = max(0.0, seconds - sum(given.values()))
        content = {
            name: want for name, want in open_ones.items() if want <= left * _SHARES[name] / whole
        }
        if not content:
            return given | {name: left * _SHARES[name] / whole for name in open_ones}
        given |= content
        open_ones = {name: want for name, want in open_ones.items() if name not in content}
    return given


def _reduced(
    settings: AuditSettings, facts: Facts, name: Section, ladder: Ladder, seconds: float
) -> AuditSettings:
    """The fullest of a section's rungs that fits, with as many of the counted things as fit."""
    fixed = settings.model_fields_set

    def fits(tried: AuditSettings) -> bool:
        return SECTIONS[name](tried, facts) <= seconds

    least = settings
    for rung in ladder.rungs:
        least = _limited(settings, rung, fixed)
        if ladder.counted in fixed:
            if fits(least):
                return least
            continue
        most = getattr(settings, ladder.counted)
        fewest = min(rung.least, most)
        least = _with(least, **{ladder.counted: fewest})
        if fits(least):
            return _as_many(least, ladder.counted, fewest, most, fits)
    leave_out = ladder.optional and facts.pace.step is not None and ladder.counted not in fixed
    return _with(least, **{ladder.counted: 0}) if leave_out else least


def _as_many(
    settings: AuditSettings, name: str, fewest: int, most: int, fits: Any
) -> AuditSettings:
    """The settings with the greatest number that fits, by bisection."""
    while fewest < most:
        middle = (fewest + most + 1) // 2
        if fits(_with(settings, **{name: middle})):
            fewest = middle
        else:
            most = middle - 1
    return _with(settings, **{name: fewest})


def _limited(settings: AuditSettings, rung: Rung, fixed: set[str]) -> AuditSettings:
    changed: dict[str, Any] = {}
    for name, most in rung.most.items():
        value = getattr(settings, name)
        if name in fixed:
            continue
        if isinstance(most, tuple):
            changed[name] = tuple(each for each in value if each in most) or value[:1]
        else:
            changed[name] = min(value, most)
    return _with(settings, **changed)


def _with(settings: AuditSettings, **changed: Any) -> AuditSettings:
    """The same with other values, which don't count as set explicitly."""
    made = settings.model_copy(update=changed)
    made.model_fields_set.intersection_update(settings.model_fields_set)
    return made


def without_flags(settings: AuditSettings) -> AuditSettings:
    """The same settings, and a plan may reduce each of them."""
    made = settings.model_copy()
    made.model_fields_set.clear()
    return made


def reductions(asked: AuditSettings, done: AuditSettings, facts: Facts) -> list[str]:
    """What an audit does less than was asked, a sentence for each kind."""
    said = []

    def less(name: str) -> bool:
        return bool(getattr(done, name) != getattr(asked, name))

    def of(name: str) -> str:
        return f"{getattr(done, name):,} instead of {getattr(asked, name):,}"

    if less("real_images"):
        counts = [
            f"{min(done.real_images, there):,} of {min(asked.real_images, there):,} {split} images"
            for split, there in (("validation", facts.validation), ("test", facts.test))
            if there > done.real_images
        ]
        if counts:
            said.append(f"It reads {' and '.join(counts)}.")
    if less("garbage_images"):
        said.append(f"Images of each kind of garbage: {of('garbage_images')}.")
    for name, what in (("ways", "Gradient attacks"), ("starts", "Kinds of start")):
        if less(name):
            kept, all_ = getattr(done, name), getattr(asked, name)
            said.append(f"{what}: {', '.join(kept)}, {len(kept)} of {len(all_)}.")
    if less("candidates"):
        said.append(f"Candidates from each start: {of('candidates')}.")
    if less("steps"):
        said.append(f"Steps of each candidate: at most {of('steps')}.")
    if less("curve_candidates"):
        said.append(f"Candidates of each curve: {of('curve_candidates')}.")
    if less("searched") and not done.searched:
        return [*said, "Search without the gradient is left out."]
    if less("searched"):
        said.append(f"Candidates of each search: {of('searched')}.")
    if less("queries"):
        said.append(f"Queries of each candidate: {of('queries')}.")
    return said
