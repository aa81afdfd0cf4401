"""One process among several: its rank, its share of the work, and how results come together.

`accelerate launch` (or torchrun) starts a command several times. Once the processes have joined,
`fool` is sharded by image, training is data-parallel, and only the main process writes. Calls are
*collective*: all processes make them with the same arguments and get the same result. A process
that never joins is the only one, and the functions here do nothing.
"""

import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor

from deceive.common.errors import InputError, LostProcessError
from deceive.common.seeds import generator_for

T = TypeVar("T")

# How long the others wait while the main process judges and draws. A process that dies is noticed
# at once; this limit is for machines that stop answering.
_PATIENCE = timedelta(minutes=30)

# Seconds to wait before saying so, at most half of the timeout: processes rarely start at the same
# time.
_UNANNOUNCED = 5.0


@dataclass(frozen=True)
class Place:
    """Which process this is, of how many, and where its tensors live."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether it is the main process, which writes files."""
        return self.rank == 0


_place: ContextVar[Place | None] = ContextVar("place", default=None)


def here() -> Place:
    """The place of this process; before it joins: the only one, on CUDA if available."""
    return _place.get() or Place(0, 1, torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def join(announce: Callable[[str], None] | None = None) -> None:
    """Join the other processes that the launcher started; does nothing if there is only one.

    Each process gets a CUDA device if there are any; otherwise they use the CPU, and gloo. Waits up
    to five minutes for the others, or DECEIVE_JOIN_SECONDS from the environment.

    Args:
        announce: called with a sentence if the others take long.

    Raises:
        InputError: when the launcher's variables are incomplete, the others don't come, the package
            accelerate is not installed, or this machine has more processes than GPUs.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if count == "1":
        return
    place = _launched(count)
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise InputError(
            f"WORLD_SIZE={count}: expected the package accelerate for more than one process; "
            "pip install 'deceive[accelerate]'"
        ) from error
    gpus = 0 if os.environ.get("ACCELERATE_USE_CPU") == "True" else torch.cuda.device_count()
    here_too = os.environ.get("LOCAL_WORLD_SIZE", "1")
    if 0 < gpus < _whole_number("LOCAL_WORLD_SIZE", here_too, 1):
        raise InputError(
            f"LOCAL_WORLD_SIZE={here_too}: expected at most one process per GPU, and there are "
            f"{gpus}; set CUDA_VISIBLE_DEVICES= in the environment to let all work on the CPU"
        )
    seconds = _patience()
    with _meeting(place, seconds, announce):
        _reach(seconds)
        state = PartialState(cpu=gpus == 0, timeout=timedelta(seconds=seconds))
    torch.distributed.distributed_c10d._set_pg_timeout(_PATIENCE)
    _place.set(Place(state.process_index, state.num_processes, state.device))
    signal.signal(signal.SIGTERM, _asked_to_end)


@contextmanager
def _meeting(place: str, seconds: int, announce: Callable[[str], None] | None) -> Iterator[None]:
    """Wait for the others; say so if it takes long. Raises `InputError` if they don't come."""
    words = f"waiting up to {seconds} s for the other processes at {place}"
    silence = min(_UNANNOUNCED, seconds / 2)
    timer = threading.Timer(silence, announce or (lambda words: None), (words,))
    timer.daemon = True
    timer.start()
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        count = os.environ["WORLD_SIZE"]
        raise InputError(
            f"WORLD_SIZE={count}: expected {count} processes to meet at {place} within "
            f"{seconds} s; {first}; unset WORLD_SIZE to run a single process"
        ) from error
    finally:
        timer.cancel()


def _patience() -> int:
    """Seconds that a process waits for all others."""
    return _whole_number("DECEIVE_JOIN_SECONDS", os.environ.get("DECEIVE_JOIN_SECONDS", "300"), 1)


def _launched(count: str) -> str:
    """The address where the processes meet; checks the launcher's variables."""
    _whole_number("WORLD_SIZE", count, 1)
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        if not os.environ.get(name):
            raise InputError(
                f"WORLD_SIZE={count}: expected {name} in the environment too, as set by accelerate "
                "launch and torchrun, got none; unset WORLD_SIZE to run a single process"
            )
    for name, most in (("RANK", int(count) - 1), ("LOCAL_RANK", int(count) - 1)):
        _whole_number(name, os.environ[name], 0, most)
    port = _whole_number("MASTER_PORT", os.environ["MASTER_PORT"], 1, 65_535)
    return f"{os.environ['MASTER_ADDR']}:{port}"


def _reach(seconds: int) -> None:
    """Wait until the main process can be reached. Raises `OSError` on timeout.

    Torch would wait twice as long, and then print its own stack frames.
    """
    ends = time.monotonic() + seconds
    while os.environ["RANK"] != "0":
        try:
            place = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
            return socket.create_connection(place, max(ends - time.monotonic(), 0.1)).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)


def _whole_number(name: str, text: str, least: int, most: int | None = None) -> int:
    """An environment variable as an integer. Raises `InputError` if it is out of range."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
    if number < least or (most is not None and number > most):
        upper = "" if most is None else f" and at most {most}"
        raise InputError(
            f"{name}: expected a whole number of at least {least}{upper} in the environment, "
            f"got {text!r}"
        )
    return number


def leave() -> None:
    """Leave the group, when all work is done."""
    if here().count > 1:
        with _noticing():  # the first to close would cut off what another still sends
            torch.distributed.barrier()
        _place.set(None)
        torch.distributed.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """Within the block, this process works alone, and no call is collective."""
    token = _place.set(replace(here(), rank=0, count=1))
    try:
        yield
    finally:
        _place.reset(token)


def share(total: int) -> range:
    """The numbers below `total` that this process works on; shares differ by at most one."""
    rank, count = here().rank, here().count
    return range(total * rank // count, total * (rank + 1) // count)


def generator(seed: int) -> Generator:
    """A random generator of this process's own; on the main process, torch's for `seed`."""
    rank = here().rank
    return generator_for(seed, rank, "process") if rank else Generator().manual_seed(seed)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within the block, torch's global generators for the CPU and `device` start from `seed`.

    Their states are restored at the end. Generators of other GPUs are left alone, since reading
    their state would allocate memory there.
    """
    on_cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def gathered(part: T) -> list[T]:
    """Every process's `part`, in order, on all of them. Tensors should be on the CPU."""
    if here().count == 1:
        return [part]
    from accelerate.utils import gather_object

    with _noticing():
        parts: list[T] = gather_object([part])
    return parts


def joined(part: Tensor) -> Tensor:
    """All processes' tensors (n, …), concatenated in order to (N, …), on the CPU of each."""
    return torch.cat(gathered(part.cpu()))


def on_main(work: Callable[[], T]) -> T:
    """Run `work` on the main process only; all get its result, or raise its error."""
    place = here()
    if place.count == 1:
        return work()
    from accelerate.utils import broadcast_object_list

    outcome: list[Any] = [None, None]
    if place.is_main:
        try:
            with alone():
                outcome[0] = work()
        except Exception as error:
            outcome[1] = error
    with _noticing():
        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    result: T = outcome[0]
    return result


def average_(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor, in place, by its mean over the processes, bit-identical on all."""
    if here().count == 1 or not tensors:
        return
    from accelerate.utils import reduce

    with _noticing(), torch.no_grad():
        mean = reduce(torch.cat([tensor.flatten() for tensor in tensors]), "mean")
        parts = mean.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))


def first_trouble(trouble: str | None) -> str | None:
    """The first process's `trouble` that isn't None, on all processes; None if there is none."""
    share_in_trouble = torch.tensor(float(trouble is not None), device=here().device)
    average_([share_in_trouble])  # cheaper than gathering texts, which are rare
    return next(filter(None, gathered(trouble))) if share_in_trouble else None


@contextmanager
def _noticing() -> Iterator[None]:
    """Within the block, the error of a lost process becomes one sentence."""
    try:
        yield
    except (RuntimeError, pickle.UnpicklingError, EOFError) as error:
        first = next(iter(str(error).splitlines()), "")
        raise LostProcessError(f"another process is gone ({first})") from error


def _asked_to_end(number: int, frame: FrameType | None) -> None:
    raise LostProcessError("asked to end, as the launcher does when another process is gone")
