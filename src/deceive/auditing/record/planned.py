"""What an audit planned to do, once it knew how fast the model answers."""

from pydantic import Field

from deceive.auditing.record.described import Finding
from deceive.auditing.settings import AuditSettings


class Before(Finding):
    """How much an audit does before its parts, to find out about the model."""

    train: int = Field(ge=1)
    """The most training images to take the mean of."""
    validation: int = Field(ge=1)
    """The most validation images to try scalings on."""
    asked: int = Field(ge=1)
    """The most images in each half of the batch that identifies a model."""
    thorough: bool
    """Whether there is time to ask the same many times, to see whether its answers vary."""


EVERYTHING = Before(train=10**9, validation=10**9, asked=32, thorough=True)
"""Without a budget."""


class Groups(Finding):
    """How much work is lost at most when the time is up."""

    questions: int = Field(ge=1)
    """Images the model is asked about before its answers are kept."""
    candidates: int = Field(ge=1)
    """Candidates of an attack before they are kept."""
    searched: int = Field(ge=1)
    """Candidates of a search before they are kept."""


WHOLE = Groups(questions=10**9, candidates=100, searched=100)
"""Without a budget: parts are done whole, in groups of a hundred candidates."""


class Planned(Finding):
    """The first row's account of how much the audit does."""

    budget: float | None = Field(gt=0)
    """Seconds that it was planned for; null without a limit."""
    expected: float | None = Field(gt=0)
    """Seconds that a call with this budget should take: more than the budget where even the least
    of everything does."""
    before: Before
    groups: Groups
    settings: AuditSettings
    """What fits the budget."""
    reductions: list[str]
    """What it does less than was asked, in sentences; empty if everything fits."""
    exactly: bool = False
    """Whether gradients are worked out in float32, because that is quicker."""
    estimate: float | None = Field(ge=0)
    """Seconds that the parts should take together at most; null without a budget."""

    @classmethod
    def whole(cls, settings: AuditSettings, before: Before = EVERYTHING) -> "Planned":
        """All that was asked."""
        return cls(
            budget=None,
            expected=None,
            before=before,
            groups=WHOLE,
            settings=settings,
            reductions=[],
            estimate=None,
        )
