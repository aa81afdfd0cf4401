"""How large the contest is."""

from dataclasses import dataclass

from benchmarks.contests.guarding.readers import READERS


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    readers: tuple[str, ...] = tuple(READERS)
    """Classifiers that are guarded."""
    scored: tuple[str, ...] = ("fast", "study")
    """Shipped networks that are guarded for their AUROC alone."""
    seeds: int = 3
    """Trainings of each, with seeds counted from 0."""
    candidates: int = 50
    """Candidates of each kind of start and attack."""
    steps: int = 200
    """The most steps of an attack."""
    adaptive: int = 20
    """Candidates of the attacks that are made for a guarded network, on the first classifier with
    seed 0 alone; 0: none."""
    adaptive_steps: int = 10_000
    """The most steps of those along guard and classifier, together or alone; those along another
    guard, and those with restarts, take a fifth."""
    restarts: int = 5
    """Starts of an attack with restarts."""
    second_rounds: int = 300
    """Rounds of a second guard, of seed 1, whose gradients are tried on the first; 0: none. It is
    kept in runs/guards."""
    real_images: int = 10_000
    """Real images that the audits read, of each split."""
    garbage_images: int = 2000
    """Images of each kind of garbage."""
    searched: int = 20
    """Candidates of each search."""
    other_data: str | None = "/usr/share/datasets/fashion-mnist"
    """Images of other things; by default Debian's package dataset-fashion-mnist, if it is there."""
    train_images: int = 50_000
    """Training images of each classifier."""


QUICK = Plan(
    readers=("tiny",),
    scored=(),
    seeds=1,
    candidates=2,
    steps=3,
    adaptive=2,
    adaptive_steps=4,
    restarts=1,
    second_rounds=0,
    real_images=200,
    garbage_images=20,
    searched=2,
    other_data=None,
    train_images=2000,
)
