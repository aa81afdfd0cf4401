"""Time that passes when a test says so."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar


class Waiting:
    """A `threading.Timer` that is up when `up` is called, and not before."""

    made: ClassVar["Waiting"]  # the last one

    def __init__(
        self, interval: float, function: Callable[..., Any], arguments: Iterable[Any]
    ) -> None:
        self.interval, self.up, self.running = interval, lambda: function(*arguments), False
        Waiting.made = self

    def start(self) -> None:
        self.running = True

    def cancel(self) -> None:
        self.running = False
