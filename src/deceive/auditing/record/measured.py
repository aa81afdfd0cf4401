"""What an audit measures: real images, attacks, curves and garbage, as in `audit.json`.

Shares and confidences are in [0, 1]. None (`null`) stands for what was not measured or cannot be.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from deceive.auditing.record.described import Finding
from deceive.common import checks
from deceive.common.checks import Count, Share

Name = Literal["asked", "own"]
"""A threshold: asked for, or the model's own."""
Box = Literal["white", "black"]
"""Whether an attack follows the model's gradient, or sees its answers alone."""

# Thresholds, in words.
THRESHOLDS: dict[Name, str] = {"asked": "asked for", "own": "its own"}

# Kinds of garbage, in words.
KINDS = {
    "uniform": "uniform noise",
    "gaussian": "gaussian noise",
    "smooth": "smooth noise",
    "squares": "overlapping squares",
    "permuted": "shuffled pixels",
    "constant": "plain grey",
    "other data": "other data",
    "optimised": "optimised",
}

ScoreName = Literal[
    "msp",
    "max_logit",
    "energy",
    "entropy",
    "gen",
    "rubbish",
    "kl_matching",
    "react",
    "knn",
    "mahalanobis",
    "vim",
]
"""A score that should be greater for real images than for garbage."""

# Scores, in words: the simplest to work out come first.
SCORES: dict[ScoreName, str] = {
    "msp": "confidence",
    "max_logit": "greatest logit",
    "energy": "energy",
    "entropy": "entropy",
    "gen": "GEN",
    "rubbish": "rubbish",
    "kl_matching": "KL matching",
    "react": "ReAct",
    "knn": "nearest features",
    "mahalanobis": "Mahalanobis",
    "vim": "ViM",
}

# The scores of what goes into a model's last linear layer.
OF_FEATURES: tuple[ScoreName, ...] = ("react", "knn", "mahalanobis", "vim")


class Clean(Finding):
    """How the model reads real images: the test set, unless said otherwise."""

    not_finite: Count
    """Number of real images answered with NaN or infinity. They count as misread; calibration and
    mean confidence leave them out."""
    accuracy: Share
    """Share of the test images read correctly, over all outputs."""
    class_accuracy: Share
    """The same with the rubbish class left out."""
    validation_accuracy: Share
    """Share of the validation images read correctly, over all outputs."""
    calibration_error: Share
    """Expected calibration error, 15 bins."""
    mean_confidence: Share
    """Mean of each image's greatest class probability."""


class Threshold(Finding):
    """A confidence that counts as being sure."""

    name: Name
    """`asked`: 0.99, or what the settings ask for. `own`: what 95% of the validation images that
    the model reads correctly reach."""
    confidence: Share
    """Softmax probability, at temperature 1, over all outputs."""
    test_share: Share
    """Share of the test images that get at least this confidence in their own class."""
    any_class_share: Share | None = None
    """Share of the test images that get at least this confidence in a class, right or wrong; null
    in earlier audits."""

    @property
    def reached(self) -> float:
        """Share of the test images that reach it; in earlier audits, with their own class."""
        return self.test_share if self.any_class_share is None else self.any_class_share


class Outcome(Finding):
    """What became of candidates at one threshold."""

    threshold: Name
    """Name of the threshold."""
    candidates: int = Field(ge=1)
    """Number of start images, each with a target."""
    fooling_rate: Share
    """Share that reach the threshold."""
    gibberish_rate: Share | None
    """Share that reach it and that most judges don't call the target; null without judges."""
    median: float | None = Field(ge=0)
    """Median number of steps (for a search: queries) of those that reach it."""
    gibberish_median: float | None = Field(default=None, ge=0)
    """The same for those that count as gibberish; null without judges."""
    stalled: float | None = None
    """Share that failed because their gradient vanished: it was 0, or too small for float32, in
    nearly all pixels. For a headline: in most attacks. null for a black box."""

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
    """White: it follows the gradient. Black: it sees only the model's answers."""
    start: str
    """`uniform`, `gaussian`, `smooth`, `blank`, `squares` or `real`; `search` where the method
    chooses its own."""
    outcomes: Outcomes
    """One for each threshold."""


class Headline(Finding):
    """All attacks of a box together: a candidate counts if any of them succeeds with it."""

    box: Box
    """White: the gradient attacks. Black: the others."""
    outcomes: Outcomes
    """One for each threshold."""

    def outcome(self, threshold: Name) -> Outcome:
        """The outcome at a threshold."""
        return next(each for each in self.outcomes if each.threshold == threshold)


class Curve(Finding):
    """Confidence against effort, of candidates that go on beyond every threshold."""

    name: str
    """Name of the attack."""
    box: Box
    """Box of the attack."""
    start: str
    """Start of the candidates."""
    unit: Literal["steps", "queries"]
    """Unit of the budgets."""
    budgets: list[Annotated[int, Field(ge=1)]]
    """Steps or queries per candidate, ascending."""
    mean_confidence: list[Share]
    """Mean confidence in the target after each budget."""
    asked_share: list[Share]
    """Share with at least the asked confidence after each budget."""
    judge_agreement: list[Share] | None
    """Share that most judges call the target after each budget; null without judges."""

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
    """Chance that a real image scores higher than garbage; ties count half."""
    fpr_at_95_tpr: Share
    """Share of garbage that reaches the score which 95% of the validation images reach."""


class Garbage(Finding):
    """Images that show none of the classes, and what the model says about them."""

    kind: str
    """`uniform`, `gaussian`, `smooth`, `squares`, `permuted`, `constant` or `other data`;
    `optimised` for the ends of the curves that most judges don't call the target."""
    images: Count
    """Number of images."""
    not_finite: Count
    """Number of images answered with NaN or infinity; the other figures leave them out."""
    mean_confidence: Share | None
    """Mean of each image's greatest class probability (MMC, Hein et al. 2019)."""
    asked_share: Share | None
    """Share with at least the asked confidence in a class."""
    own_share: Share | None
    """Share with at least the model's own threshold in a class."""
    caught: Share | None
    """Share whose greatest output is the rubbish class; null for a model without one."""
    scores: dict[ScoreName, Score]
    """By name. From the logits: `msp`, the greatest class probability; `max_logit`, the greatest
    class logit; `energy`, the logsumexp of the class logits; `entropy`; `gen`, the generalised
    entropy; `kl_matching`; `rubbish`, 1 minus the rubbish probability. From the features: `react`,
    `knn`, `mahalanobis`, `vim`. Scores that a model has no logits, features or rubbish class for
    are left out."""

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


class Proved(Finding):
    """For how much of a kind of garbage it is proved that nothing near it gets the threshold."""

    kind: str
    """A kind of garbage that is not optimised."""
    epsilon: Share
    """How far each pixel may be from the garbage's; within [0, 1]."""
    images: Count
    """Number of images."""
    share: Share
    """Share for which it is proved."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        checks.one_of("kind", kind, KINDS)
        return kind


class Certificate(Finding):
    """What is proved of the model, by interval bounds: no attack of any kind can break it."""

    threshold: Share
    """The confidence that nothing near the garbage gets in any class: the one asked for."""
    reason: str | None
    """Why nothing can be proved, for example about a black box; null where it was tried."""
    proved: list[Proved]
    """By kind of garbage and distance."""


class Resemblance(Finding):
    """How much the images that fool the model look like real ones, by their pixels alone.

    Real images are test images, measured in the same way. Figures of fooling images are null if
    there are none. Those that began as real images are left out; where there are judges, only
    gibberish counts.
    """

    images: Count
    """Number of fooling images that were measured."""
    compared_with: int = Field(ge=1)
    """Number of validation images among which the nearest was looked for."""
    nearest: Share | None
    """Median distance to the nearest real image: RMS difference of pixels in [0, 1]."""
    real_nearest: Share
    """The same of test images."""
    high_frequencies: Share | None
    """Median share of an image's energy above half of Nyquist's frequency, its mean removed; white
    noise has 0.80."""
    real_high_frequencies: Share
    """The same of test images."""
    alike: Share | None
    """Share of the fooling images that are as near to a real image as 95% of the test images are,
    and have as little energy in high frequencies as 95% of them have."""


class Failure(Finding):
    """A part that failed because the model raised an error."""

    part: str
    """What the part does."""
    reason: str
    """First line of the error."""
