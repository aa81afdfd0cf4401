"""Fooling a black box, using only its answers, within a budget of queries.

As everywhere, an image counts as a PNG holds it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.auditing.proposers import SEARCHES
from deceive.auditing.settings import CERTAIN
from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.levels import Shape, from_levels, to_levels
from deceive.fooling.objectives import log_odds
from deceive.networks.inference import confidence_of


@dataclass(frozen=True)
class Passed:
    """The outcome of N candidates at one threshold: the first image that reached it, or the best.

    levels (N, C, H, W) uint8, confidence (N,), fooled (N,) bool, queries (N,) int64.
    """

    levels: Tensor
    confidence: Tensor
    fooled: Tensor
    queries: Tensor


@dataclass(frozen=True)
class SearchResult:
    """The outcome of a search, at each threshold and after each budget."""

    passed: list[Passed]
    budgets: list[int]
    """Queries for each candidate."""
    levels: Tensor
    """(B, N, C, H, W) uint8, the best images after each budget."""
    confidence: Tensor
    """(B, N), their confidence."""


class _Best:
    """The best image of each candidate so far, and the first ones beyond each threshold."""

    def __init__(self, count: int, shape: Shape, thresholds: Sequence[float]) -> None:
        self.levels = torch.zeros(count, *shape, dtype=torch.uint8)
        self.confidence = torch.zeros(count)
        self.thresholds = thresholds
        self.passed = [
            Passed(
                self.levels.clone(),
                self.confidence.clone(),
                torch.zeros(count, dtype=torch.bool),
                torch.zeros(count, dtype=torch.int64),
            )
            for _ in thresholds
        ]

    def update(self, levels: Tensor, confidence: Tensor, spent: int) -> None:
        """Take those of the levels (N, P, C, H, W), with confidences (N, P), that are no worse."""
        surest, which = confidence.max(1)
        image = levels[torch.arange(len(levels)), which]
        better = surest >= self.confidence
        self.levels[better], self.confidence[better] = image[better], surest[better]
        for threshold, passed in zip(self.thresholds, self.passed, strict=True):
            first = better & (surest >= threshold) & ~passed.fooled
            passed.fooled[first] = True
            waiting = first | ~passed.fooled
            passed.levels[waiting] = self.levels[waiting]
            passed.confidence[waiting] = self.confidence[waiting]
            passed.queries[waiting] = spent


def search_black_box(
    method: str,
    logits_of: Callable[[Tensor], Tensor],
    targets: Tensor,
    shape: Shape,
    *,
    thresholds: Sequence[float],
    budgets: Sequence[int],
    seed: int = 0,
    first: int = 0,
    callback: Callable[[int, int], None] | None = None,
) -> SearchResult:
    """Look for images that a black box takes for their targets.

    Args:
        method: a name from `SEARCHES`.
        logits_of: images (n, C, H, W) in [0, 1] to finite logits (n, K).
        targets: (N,) int64.
        shape: (C, H, W).
        thresholds: confidences in (0, 1), each to be reached by itself.
        budgets: numbers of queries per candidate after which to record the best images, ascending;
            the search ends at the last.
        seed: each candidate has its own generator.
        first: the number of the first candidate, among those that share a seed.
        callback: called with the queries done and to be done.

    Raises:
        InputError: when an answer is not finite, or the package that the method needs is missing.

    >>> def darkness(images):  # class 1 is dark, and class 0 is light
    ...     light = 20 * images.mean((1, 2, 3))
    ...     return torch.stack([light, 10 - light], 1)
    >>> found = search_black_box(
    ...     *("squares", darkness, torch.tensor([0, 1]), (1, 4, 4)), thresholds=[0.9], budgets=[100]
    ... )
    >>> found.passed[0].fooled.tolist()
    [True, True]
    """
    checks.one_of("method", method, SEARCHES)
    count = len(targets)
    proposer = SEARCHES[method](range(first, first + count), shape, seed)
    best = _Best(count, shape, thresholds)
    history: list[tuple[Tensor, Tensor]] = []
    spent = 0
    while len(history) < len(budgets):
        proposals = proposer.ask(spent / budgets[-1])
        each = proposals.shape[1]
        if spent + each > budgets[len(history)] or bool((best.confidence >= CERTAIN).all()):
            history.append((best.levels.clone(), best.confidence.clone()))
            if spent + each > budgets[-1]:
                history += history[-1:] * (len(budgets) - len(history))
            continue
        levels, asked = to_levels(proposals), targets.repeat_interleave(each)
        logits = logits_of(from_levels(levels).flatten(0, 1))
        if not logits.isfinite().all():
            raise InputError("model: expected finite logits, got NaN or infinity")
        proposer.tell(from_levels(levels), log_odds(logits, asked).view(count, each))
        spent += each
        best.update(levels, confidence_of(logits, asked).view(count, each), spent)
        if callback is not None:
            callback(spent, budgets[-1])
    levels, confidence = (torch.stack(each) for each in zip(*history, strict=True))
    return SearchResult(best.passed, list(budgets), levels, confidence)
