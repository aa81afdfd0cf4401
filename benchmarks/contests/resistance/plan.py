"""How large the contest is, and what every attack is given."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from deceive.common.arrays import Arrays
from deceive.common.errors import InputError

# The family of attacks that all the others are compared with.
OURS = "ours"


# The final images of attacks that continue beyond every threshold, stored beside the others.
ENDS = "ends"


@dataclass(frozen=True)
class Plan:
    """How large the contest is."""

    model: str = "fast"
    """The network to attack: a shipped name or a file."""
    count: int = 40
    """Candidates from each kind of start; their targets are the classes in turn."""
    steps: int = 10_000
    """The most steps of ours, which also go a tenth and a hundredth as far; the other attacks along
    a gradient go a tenth. Search has as many queries."""
    restarts: int = 10
    """Fresh starts of the attack that restarts."""
    shown: int = 4
    """Candidates whose final images are shown."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.steps < 100:
            raise InputError(
                f"resistance: expected a count of at least 1 and at least 100 steps, got "
                f"{self.count} and {self.steps}"
            )


QUICK = Plan(count=4, steps=300, restarts=2, shown=2)


@dataclass(frozen=True)
class Case:
    """What every attack is given: candidates (N,), i.e. start images and targets; uniform first."""

    network: nn.Module
    targets: Tensor
    start: Callable[[int], Tensor]
    """Attempt number → start images (N, C, H, W) in [0, 1]."""
    thresholds: dict[str, float]
    """`asked`, the network's `own`, and `ends`, the greatest confidence there is."""
    plan: Plan


@dataclass(frozen=True)
class Attack:
    """One way to look for gibberish. It gives arrays as `auditing.attacks.attack` does.

    They hold all candidates, or only the first few.
    """

    name: str
    family: str
    effort: str
    do: Callable[[Case], Arrays]
