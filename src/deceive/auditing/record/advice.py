"""What to do about garbage: which score to look at, and below which value not to answer."""

from collections.abc import Sequence

from pydantic import field_validator

from deceive.auditing.record.described import Finding
from deceive.auditing.record.measured import KINDS, SCORES, Garbage, ScoreName
from deceive.common import checks
from deceive.common.checks import Share

# By how much a score has to do better than one that is simpler to work out.
_MARGIN = 0.02


class Limit(Finding):
    """The value of a score that 95% of the validation images reach."""

    score: ScoreName
    """Name of the score."""
    threshold: float
    """In the score's own units, greater for real images: for `msp` the log-odds ln(p / (1 - p))."""
    validation_share: Share
    """Share of the validation images that reach it; of a fitted score, of those not fitted on."""
    test_share: Share
    """Share of the test images that reach it."""


class Advice(Finding):
    """The recommended score, and what its threshold keeps and stops."""

    limit: Limit
    """The score, its threshold, and the share of real images that it keeps."""
    stopped: dict[str, Share]
    """For each kind of garbage, the share that doesn't reach the threshold."""

    @field_validator("stopped")
    @classmethod
    def _known(cls, stopped: dict[str, float]) -> dict[str, float]:
        for kind in stopped:
            checks.one_of("kind", kind, KINDS)
        if not stopped:
            raise ValueError("expected at least one kind of garbage, got none")
        return stopped

    @property
    def worst(self) -> str:
        """The kind of garbage that it stops least of."""
        return min(self.stopped, key=self.stopped.__getitem__)

    @property
    def mean(self) -> float:
        """The share that it stops on average over the kinds of garbage."""
        return sum(self.stopped.values()) / len(self.stopped)

    @property
    def worth(self) -> float:
        """How good it is: the mean of what it stops on average, and of the worst kind."""
        return (self.mean + self.stopped[self.worst]) / 2


def options(limits: Sequence[Limit], garbage: Sequence[Garbage]) -> list[Advice]:
    """What each score would do, the simplest first; of those known for every kind of garbage."""
    scored = [each for each in garbage if each.scores]
    order = list(SCORES)
    return [
        Advice(
            limit=limit,
            stopped={each.kind: 1 - each.scores[limit.score].fpr_at_95_tpr for each in scored},
        )
        for limit in sorted(limits, key=lambda limit: order.index(limit.score))
        if scored and all(limit.score in each.scores for each in scored)
    ]


def advise(limits: Sequence[Limit], garbage: Sequence[Garbage]) -> Advice | None:
    """The best score: what it stops of the worst kind and on average, both counting the same.

    A simpler one is preferred unless another is clearly better. None if nothing is known yet.
    """
    chosen: Advice | None = None
    for option in options(limits, garbage):
        if chosen is None or option.worth > chosen.worth + _MARGIN:
            chosen = option
    return chosen
