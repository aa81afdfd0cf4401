"""How a search without a gradient chooses the images to show to a black box.

A proposer works on many candidates at once: it proposes images, and is told their scores.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.common.seeds import generator_for
from deceive.fooling.starts import begin, with_square

# Random numbers are drawn for this many queries at a time.
_AHEAD = 256

# Waves of the cosine basis along each side.
_FREQUENCIES = 8

# Contrast of the first generation of low-frequency images: the standard deviation of a pixel.
_CONTRAST = 0.3


class Proposer(Protocol):
    """Proposes the next images, for N candidates at once."""

    def ask(self, spent: float) -> Tensor:
        """P proposals for each candidate, (N, P, C, H, W) in [0, 1]; `spent` is a budget share."""
        ...

    def tell(self, images: Tensor, scores: Tensor) -> None:
        """Take in the proposals' scores (N, P); more is better."""
        ...


class Squares:
    """Random search: add a square of one colour, and keep it if that helps.

    The squares shrink as the budget is spent, as in the Square Attack (Andriushchenko et al. 2020).
    Unlike there, the distance from the start, uniform noise, is not limited.
    """

    def __init__(self, numbers: range, shape: Shape, seed: int) -> None:
        self._best = begin("uniform", numbers, shape, seed)
        self._score = torch.full((len(numbers),), -math.inf)
        self._generators = [generator_for(seed + 1, number) for number in numbers]
        self._draws: list[Tensor] = []

    def ask(self, spent: float) -> Tensor:
        """The best image of each candidate with one more square; the starts come first."""
        if self._score.isinf().all():
            return self._best[:, None].clone()
        _, channels, *sizes = self._best.shape
        if not self._draws:  # many at once, each candidate from its own generator
            draws = [torch.rand(_AHEAD, 2 + channels, generator=g) for g in self._generators]
            self._draws = list(torch.stack(draws, dim=1))
        draw = self._draws.pop()
        side = max(1, round(0.5 * min(sizes) * (1 - spent) ** 2))
        return with_square(self._best, side, draw)[:, None]

    def tell(self, images: Tensor, scores: Tensor) -> None:
        """Keep images that are no worse."""
        better = scores[:, 0] >= self._score
        self._best[better], self._score[better] = images[better, 0], scores[better, 0]


class LowFrequency:
    """CMA-ES over the lowest cosine waves of an image, with a diagonal covariance.

    Images are mid-grey plus a sum of the 8 × 8 lowest waves of the discrete cosine transform, in
    which searches need fewer queries than over pixels (Guo et al. 2019). Separable CMA-ES (Ros and
    Hansen 2008) finds the amplitudes.

    Raises:
        InputError: when the package cma is not installed.
    """

    def __init__(self, numbers: range, shape: Shape, seed: int) -> None:
        try:
            import cma  # type: ignore[import-untyped]
        except ImportError as error:
            raise InputError(
                "search: expected the package cma; pip install 'deceive[audit]'"
            ) from error
        self._shape, self._waves = shape, _waves(shape)
        amplitudes = np.zeros(shape[0] * len(self._waves))
        options = {"verbose": -9, "CMA_diagonal": True, "seed": np.nan}
        self._searches = [
            cma.CMAEvolutionStrategy(
                amplitudes,
                _CONTRAST / math.sqrt(len(self._waves)),
                # Each has its own generator; by default cma seeds numpy's global one.
                options | {"randn": _normal(np.random.default_rng((seed, number)))},
            )
            for number in numbers
        ]
        self._asked: list[list[NDArray[Any]]] = []

    def ask(self, spent: float) -> Tensor:
        """One generation of each candidate."""
        self._asked = [search.ask() for search in self._searches]
        amplitudes = torch.from_numpy(np.array(self._asked)).float()
        waves = amplitudes.view(*amplitudes.shape[:2], self._shape[0], -1) @ self._waves
        return waves.view(*amplitudes.shape[:2], *self._shape).add_(0.5).clamp_(0, 1)

    def tell(self, images: Tensor, scores: Tensor) -> None:
        """Move each search towards its better proposals."""
        for search, asked, row in zip(self._searches, self._asked, scores.tolist(), strict=True):
            search.tell(asked, [-score for score in row])


SEARCHES: dict[str, Callable[[range, Shape, int], Proposer]] = {
    "squares": Squares,
    "low-frequency": LowFrequency,
}
"""A proposer for (numbers of candidates, (C, H, W), seed), by the name of its method."""


def generation(method: str, shape: Shape) -> int:
    """How many images a method proposes at once for each candidate.

    >>> generation("squares", (1, 28, 28)), generation("low-frequency", (1, 28, 28))
    (1, 16)
    """
    if method == "squares":
        return 1
    amplitudes = shape[0] * math.prod(min(_FREQUENCIES, size) for size in shape[1:])
    return 4 + int(3 * math.log(amplitudes))  # as cma chooses it


def _waves(shape: Shape) -> Tensor:
    """The lowest waves of the discrete cosine transform, (F, H × W), each of mean square 1."""
    sides = []
    for size in shape[1:]:
        place = (torch.arange(size) + 0.5) / size
        frequency = torch.arange(min(_FREQUENCIES, size))
        wave = torch.cos(math.pi * frequency[:, None] * place)
        sides.append(wave / wave.square().mean(1, keepdim=True).sqrt())
    rows, columns = sides
    return (rows[:, None, :, None] * columns[None, :, None, :]).flatten(2).flatten(0, 1)


def _normal(generator: np.random.Generator) -> Callable[..., NDArray[np.float64]]:
    return lambda *shape: generator.standard_normal(shape)
