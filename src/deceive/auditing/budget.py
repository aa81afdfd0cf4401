"""The time limit of a call."""

import time
from collections.abc import Callable

from deceive.auditing.settings import AuditSettings
from deceive.common import checks
from deceive.common.progress import Tick

# Seconds that an audit may take if nothing else is said.
_USUAL = 120.0

# An audit is planned to end within its budget, and ended at this multiple of it.
_OVERRUN = 1.5


def usual_budget(settings: AuditSettings) -> float | None:
    """The seconds of an audit with these settings; None if they ask for more than usual."""
    return None if settings.is_long else _USUAL


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
        self.seconds, self.clock = seconds, clock
        self._began = clock()

    @property
    def left(self) -> float:
        """Seconds left for the parts, and at least half of all; infinite without a limit."""
        if self.seconds is None:
            return float("inf")
        return max(self.seconds / 2, self.seconds - (self.clock() - self._began))

    def watched(self, tick: Tick) -> Tick:
        """The same tick, except that it raises `OutOfTime` half the budget after its end."""

        def watching(done: float, total: float, note: str = "") -> None:
            tick(done, total, note)
            if self.seconds is None:
                return
            if self.clock() - self._began > _OVERRUN * self.seconds:
                raise OutOfTime

        return watching
