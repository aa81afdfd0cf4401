"""The state of the rounds: a network and its rubbish, as the loop plays them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar, cast

from torch import Tensor

from deceive.common import processes
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from deceive.fooling.ascent import Ascent
from deceive.networks.guarded import Network
from deceive.storage.kinds import Row
from deceive.teaching.settings import RoundsSettings

T = TypeVar("T")


class DivergedError(Exception):
    """The network has nothing more to learn from its rubbish, or has unlearnt the digits."""


def unless_unusable(climb: Callable[[], T]) -> T:
    """What `climb` returns, in this process alone.

    Raises `DivergedError` in all processes if a network's gradient is unusable in one of them.
    """
    trouble, found = None, None
    try:
        with processes.alone():  # each has its own candidates
            found = climb()
    except InputError as error:  # all else that could be wrong was checked before
        trouble = str(error)
    if anywhere := processes.first_trouble(trouble):
        raise DivergedError(anywhere)
    return cast(T, found)


class Game(ABC):
    """A network, its rubbish, and how many rounds they have been through."""

    network: Network
    """The network that is deceived and taught."""
    ascent: Ascent | None = None
    """How images climb that it draws along a schedule; None if it doesn't draw."""
    start: str = "uniform"
    """Where those begin."""
    growing: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors in `shared` that grow every round."""

    def __init__(self, data: Dataset, settings: RoundsSettings) -> None:
        self.data, self.settings = data.first(settings.training_images), settings
        self.here = processes.here()
        self.generator = processes.generator(settings.seed)
        self.number = 0
        """Rounds played."""
        self.seconds = 0.0
        """Time that the rounds took."""
        self.slowed = 1.0
        """Factor of the learning rate since the last rollback."""
        self.rollbacks = 0

    @abstractmethod
    def begin(self) -> None:
        """Prepare the first round."""

    def slow_down(self, slowed: float, rollbacks: int) -> None:
        """Continue with another factor of the learning rate, after this many rollbacks."""
        self.slowed, self.rollbacks = slowed, rollbacks

    @abstractmethod
    def play(self) -> None:
        """Play one round. Raises `DivergedError` when it leads nowhere."""

    @abstractmethod
    def news(self) -> str:
        """The state of things, in a few words."""

    @abstractmethod
    def best(self) -> Network:
        """The network to keep and use, in half precision. All measures are of this one."""

    @abstractmethod
    def tally(self, network: Network) -> Row:
        """What the rounds add to the row of `network`, the best one."""

    @abstractmethod
    def shared(self) -> dict[str, Tensor]:
        """All state that the next rounds depend on and that is equal in all processes."""

    @abstractmethod
    def own(self) -> dict[str, Tensor]:
        """The same for state that is split among processes, along the first dimension."""

    @abstractmethod
    def restore(self, state: dict[str, Tensor]) -> None:
        """Restore the tensors of `shared` and `own`; `number` and `slowed` are already set."""
