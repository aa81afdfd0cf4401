"""Gibberish kept for training: the images of the rubbish class."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from deceive.common import arguments, checks
from deceive.common.levels import Shape, from_levels, to_levels
from deceive.data.loading import Split
from deceive.fooling.fool import FoolingResult
from deceive.fooling.starts import begin


class RubbishSet:
    """Images that a network is to be taught are rubbish, kept as 8-bit levels (N, C, H, W)."""

    @arguments.taking(levels=arguments.tensor)
    def __init__(self, levels: Tensor) -> None:
        self.levels = levels

    @classmethod
    def of_noise(
        cls, count: int, shape: Shape, *, start: str = "uniform", seed: int = 0
    ) -> "RubbishSet":
        """`count` images of a kind of noise from `starts.STARTS`."""
        checks.at_least("count", count, 0)
        arguments.shape("shape", shape)
        checks.in_memory("count", count, shape)
        checks.seed("seed", seed)
        return cls(to_levels(begin(start, range(count), shape, seed)))

    def __len__(self) -> int:
        return len(self.levels)

    def __add__(self, other: "RubbishSet") -> "RubbishSet":
        return RubbishSet(torch.cat([self.levels, other.levels]))

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) float32 in [0, 1]."""
        return from_levels(self.levels)

    def beside(self, clean: Split, n_classes: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images and labels to train on, and which of them are rubbish (a mask).

        The clean images come first; rubbish has the label `n_classes`, one more than any of theirs.
        """
        images = torch.cat([clean.images, self.images])
        rubbish = torch.arange(len(images)) >= len(clean)
        labels = torch.cat([clean.labels, torch.full((len(self),), n_classes)])
        return images, labels, rubbish


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """Candidates on their way from noise, some further than others: a rubbish set that is kept.

    Attributes:
        levels: (P, C, H, W) uint8.
        targets: (P,) int64, what each is to be taken for.
        begun: (P,) int64, the steps that each has taken.
    """

    levels: Tensor
    targets: Tensor
    begun: Tensor

    @classmethod
    def blank(cls, count: int, shape: Shape) -> "CandidateSet":
        """Black images that are to be taken for class 0, and have yet to begin."""
        nothing = torch.zeros(count, dtype=torch.int64)
        return cls(torch.zeros(count, *shape, dtype=torch.uint8), nothing, nothing.clone())

    @classmethod
    def of_noise(
        cls, count: int, shape: Shape, n_classes: int, *, spread: int, generator: Generator
    ) -> "CandidateSet":
        """Uniform noise with random targets, as if up to `spread` steps had been taken."""
        candidates = cls.blank(count, shape)
        candidates.begun.copy_(torch.randint(spread, (count,), generator=generator))
        candidates._start(torch.arange(count), n_classes, generator)
        return candidates

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        return f"CandidateSet({len(self):,} of {tuple(self.levels.shape[1:])})"

    def choose(self, count: int, n_classes: int, *, end: int, generator: Generator) -> Tensor:
        """Indices (count,) of some; candidates that took `end` steps start anew from noise."""
        chosen = torch.randperm(len(self), generator=generator)[:count]
        finished = chosen[self.begun[chosen] >= end]
        self._start(finished, n_classes, generator)
        self.begun[finished] = 0
        return chosen

    def put(self, indices: Tensor, result: FoolingResult) -> None:
        """Put what became of some of them in their places."""
        self.levels[indices] = result.levels
        self.begun[indices] += result.steps

    def _start(self, indices: Tensor, n_classes: int, generator: Generator) -> None:
        shape = (len(indices), *self.levels.shape[1:])
        self.levels[indices] = torch.randint(
            256, shape, generator=generator, dtype=torch.int32
        ).byte()
        self.targets[indices] = torch.randint(n_classes, (len(indices),), generator=generator)
