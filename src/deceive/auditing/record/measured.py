"""What an audit measures: real images, attacks, curves and garbage, as in `audit.json`.

Shares and confidences are in [0, 1]. None (`null`) stands for what was not measured or cannot be.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from deceive.auditing.record.described import Finding
from deceive.common import checks
from deceive.common.checks import Count, Share

Name = Literal["asked", "own"]
"""Of the two thresholds."""
Box = Literal["white", "black"]
"""Whether an attack follows the model's gradient, or sees its answers alone."""

# Kinds of garbage, in words.
KINDS = {
    "uniform": "uniform noise",
    "gaussian": "gaussian noise",
    "smooth": "smooth noise",
    "squares": "squares upon one another",
    "permuted": "shuffled pixels",
    "constant": "plain grey",
    "other data": "other data",
    "optimised": "optimised",
}


class Clean(Finding):
    """How the model reads real images: the test set, unless said otherwise."""

    not_finite: Count
    """How many real images got NaN or infinity for an answer. They count as misread; calibration
    and mean confidence are of the others."""
    accuracy: Share
    """Over all outputs."""
    class_accuracy: Share
    """With the rubbish class left out; the same where there is none."""
    validation_accuracy: Share
    """Of the validation images, over all outputs."""
    calibration_error: Share
    """Expected calibration error, 15 bins."""
    mean_confidence: Share
    """Mean of the greatest probability of a class."""


class Threshold(Finding):
    """A confidence that counts as being sure."""

    name: Name
    """`asked` is 0.99 unless another was asked for; `own` is what 95% of the validation images
    that the model reads correctly reach."""
    confidence: Share
    """Softmax probability, at temperature 1, over all outputs."""
    test_share: Share
    """Share of the test images that get at least this confidence in their label."""


class Outcome(Finding):
    """What became of candidates at one threshold."""

    threshold: Name
    """Its name."""
    candidates: int = Field(ge=1)
    """How many start images, each with a target."""
    fooling_rate: Share
    """Share that reach the threshold."""
    gibberish_rate: Share | None
    """Share that reach it and are not the target to the judges; None without judges."""
    median: float | None = Field(ge=0)
    """Median steps (queries, for a search) of those that reach it."""
    gibberish_median: float | None = Field(default=None, ge=0)
    """The same over those that are gibberish; None without judges."""
    stalled: float | None = None
    """Share that did not reach it because their gradient vanished: it was 0, or too small for
    float32, in nearly all pixels. Over all attacks: those that stalled in most of them. None for a
    black box."""

    @property
    def rate(self) -> float:
        """The gibberish rate; without judges the fooling rate."""
        return self.fooling_rate if self.gibberish_rate is None else self.gibberish_rate

    @property
    def effort(self) -> float | None:
        """Median steps or queries of the candidates that the rate counts."""
        return self.median if self.gibberish_rate is None else self.gibberish_median


def _both(outcomes: list[Outcome]) -> list[Outcome]:
    if sorted(each.threshold for each in outcomes) != ["asked", "own"]:
        raise ValueError(
            "expected an outcome at each of the thresholds asked and own, got "
            f"{', '.join(each.threshold for each in outcomes) or 'none'}"
        )
    return outcomes


Outcomes = Annotated[list[Outcome], AfterValidator(_both)]


class Attack(Finding):
    """One way to fool the model, from one kind of start."""

    name: str
    """White: `momentum`, `sign`, `adam`, `smoothed`, `restarts`. Black: `made for …` (images that
    fool a shipped network), `squares`, `low-frequency`."""
    box: Box
    """White where it follows the gradient, black where it sees answers alone."""
    start: str
    """`uniform`, `gaussian`, `smooth`, `blank`, `squares` or `real`; `search` for what begins by
    itself."""
    outcomes: Outcomes
    """One for each threshold."""


class Headline(Finding):
    """All attacks of a box together: a candidate counts if any of them succeeds with it."""

    box: Box
    """Which attacks are meant."""
    outcomes: Outcomes
    """One for each threshold."""

    def outcome(self, threshold: Name) -> Outcome:
        """The one at that threshold."""
        return next(each for each in self.outcomes if each.threshold == threshold)


class Curve(Finding):
    """Confidence against effort, of candidates that go on beyond every threshold."""

    name: str
    """Of the attack."""
    box: Box
    """Of the attack."""
    start: str
    """Of the candidates."""
    unit: Literal["steps", "queries"]
    """What the effort is counted in."""
    budgets: list[Annotated[int, Field(ge=1)]]
    """How much of it, for each candidate, ascending."""
    mean_confidence: list[Share]
    """Of the target, after each budget."""
    asked_share: list[Share]
    """Share with at least the asked confidence."""
    judge_agreement: list[Share] | None
    """Share that the judges call the target."""

    @model_validator(mode="after")
    def _of_one_length(self) -> "Curve":
        lists = (self.budgets, self.mean_confidence, self.asked_share, self.judge_agreement)
        lengths = [len(each) for each in lists if each is not None]
        if 0 in lengths or len(set(lengths)) > 1 or self.budgets != sorted(set(self.budgets)):
            raise ValueError(
                f"expected ascending budgets and a value for each, got lists of {lengths}"
            )
        return self


class Score(Finding):
    """How well a score tells real test images from garbage."""

    auroc: Share
    """The chance that a real image scores higher; equal scores count half."""
    fpr_at_95_tpr: Share
    """The threshold is taken from the validation images alone."""


class Garbage(Finding):
    """Images that show none of the classes, and what the model says of them."""

    kind: str
    """`optimised` are the ends of the curves that the judges don't call the target."""
    images: Count
    """How many there were."""
    not_finite: Count
    """How many got NaN or infinity for an answer; all else is of the others."""
    mean_confidence: Share | None
    """Mean of the greatest probability of a class (MMC, Hein et al. 2019)."""
    asked_share: Share | None
    """Share with at least the asked confidence in a class."""
    own_share: Share | None
    """Share with at least the model's own threshold in a class."""
    caught: Share | None
    """Share whose greatest output is the rubbish class; None where there is none."""
    scores: dict[Literal["msp", "max_logit", "energy", "rubbish"], Score]
    """By name: `msp`, the greatest probability of a class; `max_logit`; `energy`, the logsumexp of
    the classes' logits; `rubbish`, one less the rubbish probability. Only those that the model's
    answers allow: probabilities have no logits."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        checks.one_of("kind", kind, KINDS)
        return kind

    @field_validator("scores")
    @classmethod
    def _msp_if_any(cls, scores: dict[str, Score]) -> dict[str, Score]:
        if scores and "msp" not in scores:
            raise ValueError(f"expected msp among them, got {', '.join(scores)}")
        return scores


class Failure(Finding):
    """A part that failed because the model raised an error."""

    part: str
    """Which."""
    reason: str
    """What the model said."""
