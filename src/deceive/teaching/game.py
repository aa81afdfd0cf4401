"""What every kind of rounds has in common: a network, its rubbish, and how they are kept."""

import json
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deceive import processes
from deceive.data import Dataset
from deceive.errors import InputError
from deceive.files import replacing
from deceive.fooling import FoolingResult
from deceive.models import halved
from deceive.networks import Classifier
from deceive.runs import Row
from deceive.teaching.settings import RoundsSettings

# Seeds of the starts on which networks are measured along the way, and judged at the end; no round
# uses them.
FRESH, FINAL = 1_000_003, 2_000_003


class DivergedError(Exception):
    """A network that has nothing more to learn from its rubbish, or has unlearnt the digits."""


class Game(ABC):
    """A network, its rubbish, and the number of rounds they have been through."""

    network: Classifier
    """The one that is deceived and taught."""

    def __init__(self, data: Dataset, settings: RoundsSettings) -> None:
        self.data, self.settings = data.first(settings.training_images), settings
        self.here = processes.here()
        self.number = 0
        self.seconds = 0.0
        self.slowed = 1.0
        self.rollbacks = 0
        self.generator = processes.generator(settings.seed)

    def play(self) -> None:
        """One round: the network stands still while images change, then the other way round."""
        started = time.perf_counter()
        self.number += 1
        rubbish = self.deceive()
        self.teach(rubbish)
        self.seconds += time.perf_counter() - started

    def begin(self) -> None:  # noqa: B027  (few have anything to do)
        """Whatever is to be done before the first round."""

    @abstractmethod
    def deceive(self) -> Any:
        """Deceive the network, and give back what it is to be taught."""

    @abstractmethod
    def teach(self, rubbish: Any) -> None:
        """Teach the network what it was deceived with."""

    @abstractmethod
    def news(self) -> str:
        """How things stand, in a few words."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that the next rounds depend on and all processes have alike."""

    def own(self) -> dict[str, Tensor]:
        """The same, of what each process has a share of its own, along the first dimension."""
        return {"generator": self.generator.get_state()}

    @abstractmethod
    def made(self, network: Classifier) -> FoolingResult:
        """The images on which `network`, the best one, is measured."""

    @abstractmethod
    def measure(self, network: Classifier, made: FoolingResult, judge: Classifier) -> Row:
        """What `network` and the images made with it are worth; changes nothing."""

    def best(self) -> Classifier:
        """The network to use, as it is kept: in half precision. All measures are of this one."""
        return halved(self.network)

    def save(self, path: Path) -> None:
        """Write everything to `path`, whole or not at all: every process's share of it."""
        facts = {
            "number": self.number,
            "seconds": self.seconds,
            "slowed": self.slowed,
            "rollbacks": self.rollbacks,
        }
        shares = processes.gathered(self.own())
        state = self.tensors() | {k: torch.cat([own[k] for own in shares]) for k in shares[0]}

        def write() -> None:
            tensors = {name: tensor.contiguous() for name, tensor in state.items()}
            content = save(tensors, {"facts": json.dumps(facts)})
            with replacing(path, streams=False) as temporary:
                temporary.write_bytes(content)

        processes.on_main(write)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises `InputError` when it is damaged, or was written by more processes or fewer.
        """

        def read() -> tuple[dict[str, Any], dict[str, Tensor]]:
            with safe_open(path, "pt") as stored:
                facts = json.loads(stored.metadata()["facts"])
                return facts, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118

        try:
            facts, state = processes.on_main(read)
            wrote = len(state["generator"]) // len(self.generator.get_state())
            if wrote == self.here.count:
                mine = {k: state[k].chunk(wrote)[self.here.rank] for k in self.own()}
                self.restore(state | mine)
                self.generator.set_state(mine["generator"].clone())
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{path}: expected the checkpoint of this run; {error}") from error
        if wrote != self.here.count:
            raise InputError(
                f"{path}: expected the checkpoint of {self.here.count} process(es), got one of "
                f"{wrote}; a run goes on with as many as it was begun with"
            )
        self.number, self.seconds = facts["number"], facts["seconds"]
        self.slowed, self.rollbacks = facts["slowed"], facts["rollbacks"]

    @abstractmethod
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over what `tensors` and `own` gave."""
