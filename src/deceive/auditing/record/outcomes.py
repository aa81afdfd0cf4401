"""What became of an audit's candidates: each attack by itself, and all of a box together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deceive.auditing.record.measured import Attack, Box, Headline, Name, Outcome
from deceive.auditing.record.rows import Attacked
from deceive.auditing.record.stored import Sizes, arrays_named, load_outcomes
from deceive.common.arrays import Arrays
from deceive.storage.runs import Run

_NAMES: tuple[Name, Name] = ("asked", "own")

ByThreshold = dict[Name, Arrays]
"""The arrays of an attack's candidates at each threshold."""

Stored = tuple[Attacked, ByThreshold]
"""The candidates of one row, and what became of them."""

# Share of stalled candidates from which the audit warns.
_STALLED = 0.1


def stored_outcomes(run: Run, attacked: Attacked, sizes: Sizes) -> ByThreshold:
    """The outcomes of an attack's candidates by threshold: levels, fooled and so on.

    Raises `InputError` when they are missing, damaged, or of other sizes.
    """
    arrays = load_outcomes(run, attacked, sizes)
    return {name: arrays_named(arrays, name) | {"targets": arrays["targets"]} for name in _NAMES}


def gibberish(arrays: Arrays) -> NDArray[np.bool_] | None:
    """Which candidates (N,) the model is sure of and most judges don't call the target.

    None without judges.

    >>> targets, judged = np.array([3, 4, 5]), np.array([3, 9, 9])
    >>> gibberish({"fooled": np.array([True, True, False]), "targets": targets, "judged": judged})
    array([False,  True, False])
    """
    if "judged" not in arrays:
        return None
    found: NDArray[np.bool_] = arrays["fooled"] & (arrays["judged"] != arrays["targets"])
    return found


def attacks_of(stored: list[Stored]) -> list[Attack]:
    """Each attack from each start, its groups of candidates put together."""
    together: dict[tuple[str, Box, str], list[ByThreshold]] = {}
    for attacked, outcomes in stored:
        key = (attacked.name, attacked.box, attacked.start)
        together.setdefault(key, []).append(outcomes)
    return [
        Attack(
            name=attack,
            box=box,
            start=start,
            outcomes=[outcome_of(name, [group[name] for group in groups]) for name in _NAMES],
        )
        for (attack, box, start), groups in together.items()
    ]


def outcome_of(name: Name, groups: list[Arrays]) -> Outcome:
    """The outcome at a threshold, of groups of candidates as `stored_outcomes` gives them."""
    fooled = np.concatenate([group["fooled"] for group in groups])
    steps = np.concatenate([group["steps"] for group in groups])
    judged = [each for group in groups if (each := gibberish(group)) is not None]
    nonsense = np.concatenate(judged) if len(judged) == len(groups) else None
    stalled = [group["stalled"] for group in groups if "stalled" in group]
    return Outcome(
        threshold=name,
        candidates=len(fooled),
        fooling_rate=float(fooled.mean()),
        gibberish_rate=None if nonsense is None else float(nonsense.mean()),
        median=_median(steps[fooled]),
        gibberish_median=None if nonsense is None else _median(steps[nonsense]),
        stalled=float(np.concatenate(stalled).mean()) if stalled else None,
    )


def headlines_of(stored: list[Stored]) -> list[Headline]:
    """For each box, the candidates with which any attack succeeds."""
    boxes: tuple[Box, Box] = ("white", "black")
    headlines = []
    for box in boxes:
        here = [(attacked, outcomes) for attacked, outcomes in stored if attacked.box == box]
        if here:
            outcomes = [
                _union(name, [(attacked, each[name]) for attacked, each in here]) for name in _NAMES
            ]
            headlines.append(Headline(box=box, outcomes=outcomes))
    return headlines


@dataclass
class _Candidate:
    """What several attacks made of one candidate."""

    steps: list[int] = field(default_factory=list)
    """Of the attacks that reached the threshold."""
    to_gibberish: list[int] = field(default_factory=list)
    """Of those whose image the judges don't call the target."""
    stalled: list[bool] = field(default_factory=list)
    """For each gradient attack, whether its gradient vanished."""

    @property
    def stuck(self) -> bool:
        """Whether it never got there and stalled in most attacks."""
        return not self.steps and sum(self.stalled) > len(self.stalled) / 2


def _union(name: Name, stored: list[tuple[Attacked, Arrays]]) -> Outcome:
    """One candidate is one start image and target, whichever attacks have tried it."""
    together: dict[tuple[str, int], _Candidate] = {}
    for attacked, arrays in stored:
        # In a black box a candidate is a target and a number; there is no start that all share.
        start = attacked.start if attacked.box == "white" else ""
        nonsense = gibberish(arrays)
        for place, steps in enumerate(arrays["steps"].tolist()):
            candidate = together.setdefault((start, attacked.first + place), _Candidate())
            if arrays["fooled"][place]:
                candidate.steps.append(steps)
            if nonsense is not None and nonsense[place]:
                candidate.to_gibberish.append(steps)
            if "stalled" in arrays:
                candidate.stalled.append(bool(arrays["stalled"][place]))
    judged = all("judged" in arrays for _, arrays in stored)
    steps = [min(each.steps) for each in together.values() if each.steps]
    gibberish_steps = [min(each.to_gibberish) for each in together.values() if each.to_gibberish]
    stuck = [each.stuck for each in together.values() if each.stalled]
    return Outcome(
        threshold=name,
        candidates=len(together),
        fooling_rate=len(steps) / len(together),
        gibberish_rate=len(gibberish_steps) / len(together) if judged else None,
        median=_median(steps),
        gibberish_median=_median(gibberish_steps) if judged else None,
        stalled=sum(stuck) / len(stuck) if stuck else None,
    )


def without_gradient(headlines: list[Headline]) -> list[str]:
    """The warning about vanished gradients, if it applies."""
    share = max(
        (each.stalled or 0 for headline in headlines for each in headline.outcomes), default=0
    )
    if share < _STALLED:
        return []
    return [
        f"The gradient vanished (0, or too small for float32) for {share:.0%} of the candidates "
        "of the gradient attacks, so their failure says nothing about how hard the model is to "
        "fool. Let the model return logits, not probabilities; if it rounds its input, trust the "
        "black-box search instead."
    ]


def _median(steps: Sequence[int] | NDArray[np.int64]) -> float | None:
    return float(np.median(steps)) if len(steps) else None
