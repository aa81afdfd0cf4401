"""What every kind of rounds has in common: a network, its rubbish, and how they are kept."""

import json
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from deceive.common import checks, processes
from deceive.common.checks import Count
from deceive.common.errors import InputError
from deceive.common.files import parse_json, replacing
from deceive.data.loading import Dataset
from deceive.fooling.fool import FoolingResult
from deceive.networks.guarded import Network
from deceive.storage.models import halved
from deceive.storage.runs import Row
from deceive.teaching.settings import RoundsSettings

# Seeds of the starts on which networks are measured along the way, and judged at the end; no round
# uses them.
FRESH, FINAL = 1_000_003, 2_000_003


class DivergedError(Exception):
    """A network that has nothing more to learn from its rubbish, or has unlearnt the digits."""


class Facts(BaseModel):
    """A checkpoint's data besides its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    number: Count
    """Rounds played."""
    seconds: float = Field(ge=0)
    """Time they took."""
    slowed: float = Field(gt=0, le=1)
    """Factor of the learning rate since the last rollback."""
    rollbacks: Count
    """So far."""


class Game(ABC):
    """A network, its rubbish, and the number of rounds they have been through."""

    network: Network
    """The one that is deceived and taught."""
    growing: ClassVar[tuple[str, ...]] = ()
    """Names of the `tensors` that grow every round."""

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
    def made(self, network: Network) -> FoolingResult:
        """The images on which `network`, the best one, is measured."""

    @abstractmethod
    def measure(self, network: Network, made: FoolingResult, judge: Network) -> Row:
        """What `network` and the images made with it are worth; changes nothing."""

    def best(self) -> Network:
        """The network to use, as it is kept: in half precision. All measures are of this one."""
        return halved(self.network)

    def save(self, path: Path) -> None:
        """Write everything to `path`, whole or not at all: every process's share of it."""
        facts = Facts(
            number=self.number,
            seconds=self.seconds,
            slowed=self.slowed,
            rollbacks=self.rollbacks,
        )
        shares = processes.gathered(self.own())
        state = self.tensors() | {k: torch.cat([own[k] for own in shares]) for k in shares[0]}

        def write() -> None:
            tensors = {name: tensor.contiguous() for name, tensor in state.items()}
            content = save(tensors, {"facts": json.dumps(facts.model_dump())})
            with replacing(path, streams=False) as temporary:
                temporary.write_bytes(content)

        processes.on_main(write)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote.

        Raises `InputError` when it is damaged, of another run, or from another number of processes.
        """
        facts, state = processes.on_main(lambda: _read(path))
        own = self.own()
        wrote = len(state.get("generator", ())) // len(own["generator"])
        if wrote not in (0, self.here.count):
            raise InputError(
                f"{path}: expected the checkpoint of {self.here.count} process(es), got one of "
                f"{wrote}; a run goes on with as many as it was begun with"
            )
        if trouble := self._trouble(facts, state):
            raise InputError(f"{path}: expected the checkpoint of this run; {trouble}")
        mine = {name: state[name].chunk(wrote)[self.here.rank] for name in own}
        try:
            self.generator.set_state(mine["generator"].clone())
        except RuntimeError as error:
            raise InputError(f"{path}: expected the checkpoint of this run; {error}") from error
        self.restore(state | mine)
        self.number, self.seconds = facts.number, facts.seconds
        self.slowed, self.rollbacks = facts.slowed, facts.rollbacks

    def _trouble(self, facts: Facts, state: dict[str, Tensor]) -> str | None:
        """What is wrong with a checkpoint's content; None if nothing is."""
        if facts.number > self.settings.rounds:
            return f"it is of round {facts.number:,} of {self.settings.rounds:,}"
        own, count = self.own(), self.here.count
        expected = self.tensors() | own
        if names := sorted(state.keys() ^ expected.keys()):
            return f"{names[0]} should be {'there' if names[0] in expected else 'absent'}"
        for name, like in expected.items():
            came, shape = state[name], list(like.shape)
            if name in own:
                shape[0] *= count
            elif name in self.growing and came.ndim:
                shape[0] = len(came)
            if came.dtype != like.dtype or list(came.shape) != shape:
                return f"{name} should be {like.dtype} {shape}, is {came.dtype} {list(came.shape)}"
            least, most = _range(name, self.data.n_classes)
            if came.numel() and not least <= came.min().item() <= came.max().item() <= most:
                return f"{name} should be finite and from {least:g} to {most:g}, has other values"
        return None

    @abstractmethod
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take over what `tensors` and `own` gave."""


def _read(path: Path) -> tuple[Facts, dict[str, Tensor]]:
    try:
        with safe_open(path, "pt") as stored:
            said = (stored.metadata() or {}).get("facts", "")
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: expected the checkpoint of this run; {error}") from error
    where, expected = str(path), "the checkpoint of this run, with its facts"
    facts = parse_json(said.encode("utf-8", "surrogatepass"), where, expected)
    return checks.fits(Facts, facts, where, expected, strict=True), state


# The greatest finite float32.
_GREATEST = torch.finfo(torch.float32).max


def _range(name: str, n_classes: int) -> tuple[float, float]:
    """The range of a checkpoint tensor's values."""
    if name.endswith("targets"):
        return 0, n_classes - 1
    if name == "vitals":
        return 0, 1
    counted = ("begun", ".step", ".exp_avg_sq", ".running_var", ".num_batches_tracked")
    return (0 if name.endswith(counted) else -_GREATEST), _GREATEST
