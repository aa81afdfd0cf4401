"""Candidates: the rubbish set of continual rounds; its images try to deceive repeatedly."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from deceive.common.levels import Shape, from_levels, to_levels
from deceive.data.dataset import Split
from deceive.fooling.starts import REAL, begin


@dataclass(frozen=True, eq=False)
class Candidates:
    """Images (P, C, H, W) and the class that each should be taken for.

    Attributes:
        levels: (P, C, H, W) uint8.
        targets: (P,) int64.
    """

    levels: Tensor
    targets: Tensor

    @classmethod
    def blank(cls, count: int, shape: Shape) -> "Candidates":
        """`count` black images with target 0, as placeholders.

        >>> Candidates.blank(3, (1, 8, 8))
        Candidates(3 of (1, 8, 8))
        """
        return cls(
            torch.zeros(count, *shape, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64)
        )

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        return f"Candidates({len(self):,} of {tuple(self.levels.shape[1:])})"

    def images(self, indices: Tensor) -> Tensor:
        """Some of the images, (N, C, H, W) float32 in [0, 1]."""
        return from_levels(self.levels[indices])

    def tensors(self) -> dict[str, Tensor]:
        """All there is, by name."""
        return {"levels": self.levels, "targets": self.targets}

    def begin_in_noise(
        self, indices: Tensor, n_classes: int, generator: Generator, start: str = "uniform"
    ) -> None:
        """Restart some from a start of `starts.STARTS`, with random targets."""
        _, channels, height, width = self.levels.shape
        if start == "uniform":  # all at once, which is quicker
            shape = (len(indices), channels, height, width)
            noise = torch.randint(256, shape, generator=generator, dtype=torch.int32)
            self.levels[indices] = noise.byte()
        else:
            seed = int(torch.randint(2**60, (), generator=generator))
            images = begin(start, range(len(indices)), (channels, height, width), seed)
            self.levels[indices] = to_levels(images)
        self.targets[indices] = torch.randint(n_classes, (len(indices),), generator=generator)

    def begin_anywhere(
        self,
        indices: Tensor,
        starts: Sequence[str],
        digits: Split,
        n_classes: int,
        generator: Generator,
    ) -> Tensor:
        """Restart some, each from a start drawn at random.

        Args:
            indices: (N,).
            starts: names from `starts.STARTS`, or `REAL` for a digit whose target is another class.
            digits: the source of those digits.
            n_classes: the number of classes, without rubbish.
            generator: draws all of it.

        Returns:
            Which of them are digits, (N,) bool.
        """
        _, channels, height, width = self.levels.shape
        lot = torch.randint(len(starts), (len(indices),), generator=generator)
        kinds = [starts[number] for number in lot]
        seed = int(torch.randint(2**60, (), generator=generator))
        real = torch.randint(len(digits), (len(indices),), generator=generator)
        others = torch.randint(1, n_classes, (len(indices),), generator=generator)
        self.targets[indices] = (digits.labels[real] + others) % n_classes
        for number, (index, kind) in enumerate(zip(indices, kinds, strict=True)):
            image = (
                digits.images[real[number]]
                if kind == REAL
                else begin(kind, range(number, number + 1), (channels, height, width), seed)[0]
            )
            self.levels[index] = to_levels(image)
        return torch.tensor([kind == REAL for kind in kinds], dtype=torch.bool)


def some_of(count: int, total: int, generator: Generator) -> Tensor:
    """Indices (count,) of some of `total`, drawn without replacement."""
    return torch.randperm(total, generator=generator)[:count]
