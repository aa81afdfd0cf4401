"""The time limit of a call."""

import time
from collections.abc import Callable

from deceive.common import checks
from deceive.common.progress import Tick


class OutOfTime(Exception):  # noqa: N818 - it ends the work in good order, and is no error
    """The budget is spent."""


class Budget:
    """A number of seconds from now on. Raises `InputError` unless it is above 0.

    Args:
        seconds: None for no limit.
        clock: returns the time in seconds.
    """

    def __init__(
        self, seconds: float | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        if seconds is not None:
            checks.open_interval("budget", seconds, 0, float("inf"))
        self._clock = clock
        self._ends = None if seconds is None else clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least 0; infinite without a limit."""
        return float("inf") if self._ends is None else max(0.0, self._ends - self._clock())

    def watched(self, tick: Tick) -> Tick:
        """The same tick, except that it raises `OutOfTime` once the budget is spent."""

        def watching(done: float, total: float, note: str = "") -> None:
            tick(done, total, note)
            if self._ends is not None and self._clock() > self._ends:
                raise OutOfTime

        return watching
