"""How long-running work reports progress: a task, and its ticks."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Tick(Protocol):
    """Called as work advances, with how much is done, how much there is, and a few words."""

    def __call__(self, done: float, total: float, note: str = "") -> None: ...


Task = Callable[[str], AbstractContextManager[Tick]]
"""Called with a description when a piece of work begins; within the block its `Tick` is called."""


@contextmanager
def silent(description: str) -> Iterator[Tick]:
    """A `Task` that shows nothing."""
    yield lambda done, total, note="": None


def quiet(words: str) -> None:
    """Tell nothing."""
