"""The time limit of a call."""

import time
from collections.abc import Callable

from deceive.auditing.settings import AuditSettings
from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.progress import Tick

# Seconds that an audit may take if nothing else is said.
_USUAL = 120.0

# An audit is planned to end within its budget, and ended at this multiple of it.
_OVERRUN = 1.5

# The least share of the budget that is planned, however long everything before the plan took.
_LEAST = 0.2

# Seconds of silence after which a call counts as hanging, if its budget isn't longer.
_PATIENCE = 60.0


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
        if seconds is not None and not (checks.is_number(seconds) and 0 < seconds < float("inf")):
            came = f"{seconds:g}" if checks.is_number(seconds) else checks.shown(seconds)
            raise InputError(f"budget: expected seconds above 0, or none; got {came}")
        self.seconds, self.clock = seconds, clock
        self._began = clock()
        self.heard = self._began
        """When the call last got on, by the clock."""
        self._expected = float("inf") if seconds is None else seconds

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return self.clock() - self._began

    @property
    def left(self) -> float:
        """Seconds left for the parts, and at least a fifth of all; infinite without a limit."""
        if self.seconds is None:
            return float("inf")
        return max(_LEAST * self.seconds, self.seconds - self.spent)

    @property
    def stop(self) -> float:
        """The seconds after which the call ends; infinite without a limit."""
        return _OVERRUN * self._expected

    def stretch(self, seconds: float) -> None:
        """Expect the call to take at least this long: even the shortest audit does."""
        self._expected = max(self._expected, seconds)
        self.alive()

    def alive(self) -> None:
        """Note that the call makes progress, and so doesn't hang."""
        self.heard = self.clock()

    @property
    def patience(self) -> float:
        """Seconds until the call counts as hanging, unless it makes progress before then.

        They end at twice the budget or a minute beyond it, whichever is later, and not before the
        call has been silent for as long as the budget, or a minute.
        """
        grace = max(self._expected, _PATIENCE)
        return max(self._began + self._expected, self.heard) + grace - self.clock()

    def listening(self, tick: Tick) -> Tick:
        """The same tick, which also notes that the call makes progress."""

        def heard(done: float, total: float, note: str = "") -> None:
            self.alive()
            tick(done, total, note)

        return heard

    def watched(self, tick: Tick, got_on: Callable[[], bool]) -> Tick:
        """The same tick, except that it raises `OutOfTime` when the call has to stop.

        Args:
            tick: called first.
            got_on: whether anything that this call did is kept. Until then it doesn't stop.
        """
        heard = self.listening(tick)

        def watching(done: float, total: float, note: str = "") -> None:
            heard(done, total, note)
            if self.heard - self._began > self.stop and got_on():
                raise OutOfTime

        return watching
