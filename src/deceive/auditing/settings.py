"""How much an audit does."""

from pydantic import BaseModel, ConfigDict, Field

from deceive.common import checks
from deceive.common.levels import Shape


class AuditSettings(BaseModel):
    """What an audit asks for, and how far it goes. `QUICK` and `THOROUGH` are the two sizes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    confidence: float = Field(default=0.99, gt=0, lt=1)
    """The threshold named `asked`."""
    candidates: int = Field(default=50, ge=1)
    """For each start; their targets are the classes in turn."""
    steps: int = Field(default=200, ge=1, lt=checks.MOST)
    """The most that a candidate may take."""
    restarts: int = Field(default=1, ge=1, lt=checks.MOST)
    """Fresh starts for a candidate, in the attack of that name."""
    curve_candidates: int = Field(default=20, ge=1)
    """Candidates of a curve of confidence against steps."""
    searched: int = Field(default=20, ge=1)
    """Candidates of each black-box attack."""
    queries: int = Field(default=1000, ge=100, lt=checks.MOST)
    """Answers that a search may ask for, for each candidate."""
    garbage_images: int = Field(default=2000, ge=10)
    """Images of each kind of garbage that is not optimised."""
    every_search: bool = False
    """Search by every method, also where there is a gradient."""
    every_curve: bool = False
    """A curve from every start, and not from uniform noise alone."""
    seed: int = Field(default=0, ge=0, lt=checks.SEEDS)
    """Seed of all random numbers."""

    def check(self, shape: Shape) -> None:
        """Raise `InputError` when this many images (C, H, W) don't fit into memory."""
        for name in ("candidates", "curve_candidates", "searched", "garbage_images"):
            checks.in_memory(name, getattr(self, name), shape)


QUICK = AuditSettings()
THOROUGH = AuditSettings(
    candidates=1000,
    steps=10_000,
    restarts=4,
    curve_candidates=100,
    searched=100,
    queries=20_000,
    garbage_images=10_000,
    every_search=True,
    every_curve=True,
)


def budgets(most: int, least: int = 1) -> list[int]:
    """1, 3, 10, 30, … up to `most`, and `most` itself: where a curve is looked at."""
    steps = sorted({factor * 10**power for power in range(10) for factor in (1, 3)})
    return [step for step in steps if least <= step < most] + [most]
