"""What a reader is, and how its files are damaged."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from soak import mutations
from soak.mutations import Mutation, Random

Files = dict[str, bytes]
"""An input: file contents by name in the case's folder."""


class Wrong(AssertionError):  # noqa: N818 - a finding, not an error
    """A reader's result, output or exit code is invalid."""


@dataclass(frozen=True)
class Reader:
    """One entry point of the package."""

    good: Callable[[Path], Files]
    """A good input, from the world's folder."""
    read: Callable[[Path, Random], None]
    """Read the input in the working folder; the generator is for everything else that varies."""
    damage: Callable[[Files, Random], Files]
    whole: Callable[[Files], list[Files]] = lambda good: [good]
    """Inputs that must be accepted: the first cases of every campaign."""
    slow: bool = False
    """Whether it takes a hundred times as long as others, because it also processes its input."""

    @property
    def patience(self) -> float:
        """Seconds after which a case counts as hung; working ones are interrupted long before."""
        return 60 if self.slow else 15

    @property
    def block(self) -> int:
        """Number of cases per worker."""
        return 20 if self.slow else 400

    def share(self, cases: int) -> int:
        """Its number of cases when a quick reader gets `cases`."""
        return cases // 20 if self.slow else cases


_KINDS: dict[str, Sequence[Mutation]] = {
    ".gz": mutations.GZIPPED_IDX,
    "-ubyte": mutations.IDX,
    ".json": mutations.JSON,
    ".jsonl": mutations.JSON_LINES,
    ".npz": mutations.NPZ,
    ".safetensors": mutations.SAFETENSORS,
}


def kinds_for(name: str) -> Sequence[Mutation]:
    """The mutations for a file of that name."""
    return next((kinds for end, kinds in _KINDS.items() if name.endswith(end)), mutations.BYTES)


def damage_files(files: Files, rng: Random) -> Files:
    """Damage one file, sometimes two; or drop one, or join it with another of its kind."""
    changed = dict(files)
    for _ in range(rng.choice((1, 1, 1, 1, 2))):
        name = rng.choice(sorted(files))
        others = [each for each in sorted(files) if Path(each).suffix == Path(name).suffix]
        chance = rng.random()
        if chance < 0.03:
            changed.pop(name, None)
        elif chance < 0.06:
            changed[name] = files[rng.choice(others)]
        elif chance < 0.1:
            splice = mutations.spliced(files[rng.choice(others)])
            changed[name] = splice(files[name], rng)
        else:
            changed[name] = mutations.mutate(files[name], rng, kinds_for(name))
    return changed


def plain(good: Callable[[Path], Files], read: Callable[[Path, Random], None]) -> Reader:
    return Reader(good, read, damage_files)


_SOFT = 1.0


@contextmanager
def interruptible() -> Iterator[list[bool]]:
    """Interrupt work after a second of CPU time, as by Ctrl+C; yields whether it did."""
    came: list[bool] = []

    def interrupt(number: int, frame: object) -> None:
        came.append(True)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, _SOFT)
    try:
        yield came
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
