"""The contests by name, and what `python -m benchmarks` needs to know of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from matplotlib.figure import Figure

from benchmarks.contest import Row
from benchmarks.contests import (
    ablation,
    accuracy,
    audit,
    certificate,
    drawing,
    fooling,
    guarding,
    literal,
    live,
    memory,
    page,
    plain,
    polishing,
    resistance,
    scaling,
    speedrun,
    textures,
    training,
)
from benchmarks.pictures import drawn_side_by_side, ends, quality_against_time, same_starts


class Module(Protocol):
    """What the module of every contest has."""

    __doc__: str | None
    Plan: Any
    """A frozen dataclass of sizes; its fields are the flags of the contest."""
    QUICK: Any
    """The plan of a few seconds, to see that it runs."""
    run: Any
    """Plan → iterator of all that there is so far. A long contest also takes an earlier result, and
    keeps its rows."""

    @staticmethod
    def table(result: Row, /) -> str:
        """The section of the table of benchmarks, from the rows alone."""


@dataclass(frozen=True)
class Contest:
    """A contest, and where its rows and pictures go."""

    module: Module
    long: bool = False
    """It takes hours: not among all contests unless they are quick, and it can be resumed."""
    per_model: bool = False
    """Each network has a file of rows."""
    pictures: Callable[[Row], Mapping[str, Figure]] = lambda result: {}
    """Result → file name without its ending → picture."""

    def stem(self, name: str, plan: Any) -> str:
        """The name of the file of its rows, without the ending."""
        return f"{name}-{Path(plan.model).stem}" if self.per_model else name

    def pattern(self, name: str) -> str:
        """What the names of its files match."""
        return f"{name}-*.json" if self.per_model else f"{name}.json"


def _of_drawing(result: Row) -> Mapping[str, Figure]:
    return {
        "quality-against-time": quality_against_time(result["rows"]),
        "drawn-side-by-side": drawn_side_by_side(result["rows"]),
    }


def _of_resistance(result: Row) -> Mapping[str, Figure]:
    return {f"resistance-{Path(result['plan']['model']).stem}": ends(result["rows"])}


CONTESTS: dict[str, Contest] = {
    "ablation": Contest(ablation, long=True),
    "accuracy": Contest(accuracy),
    "audit": Contest(audit),
    "certificate": Contest(certificate, long=True),
    "drawing": Contest(drawing, long=True, pictures=_of_drawing),
    "fooling": Contest(fooling),
    "guarding": Contest(guarding, long=True),
    "literal": Contest(literal),
    "live": Contest(live),
    "memory": Contest(memory),
    "page": Contest(page),
    "plain": Contest(plain, pictures=lambda result: {"same-starts": same_starts(result)}),
    "polishing": Contest(polishing, long=True),
    "scaling": Contest(scaling),
    "speedrun": Contest(speedrun, long=True),
    "textures": Contest(textures, long=True),
    "training": Contest(training),
    "resistance": Contest(resistance, long=True, per_model=True, pictures=_of_resistance),
}
"""In the order of the table of benchmarks."""
