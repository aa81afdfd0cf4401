"""Models whose answers aren't repeatable.

Some vary between calls (dropout left on, added noise), and some depend on the rest of the batch
(batch statistics). The first are averaged over several answers; the others get each image alone.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from deceive.common.errors import InputError

# Number of answers to average: the standard error is less than half of a single answer's, and five
# times the work is still bearable.
ASKINGS = 5

# Number of equal answers that make a model steady: one that picks one of two networks at random is
# missed with a probability of 2^-15. The images are few, so this costs little.
_EQUAL = 16

# How much two answers to the same image may differ, as a share of how much answers to different
# images do: first for identical calls, where at most the order of a GPU's sums changes; second for
# batches of two sizes, where half precision makes 0.001 and the scales of 8-bit layers 0.01.
# Dropout and batch statistics make 0.1 and more.
_TWICE, _APART = 1e-3, 0.05


class Manner(NamedTuple):
    """How a model answers."""

    at_random: bool = False
    """Its answers vary between calls."""
    by_company: bool = False
    """Its answers depend on the rest of the batch."""
    alone: bool = True
    """Whether it can run a single image."""

    @property
    def cautions(self) -> tuple[str, ...]:
        """Why the figures say less, in sentences; empty for a steady model."""
        said = []
        if self.at_random:
            said.append(
                "Its answers vary between calls with the same images, as with dropout left on: "
                f"every confidence is the mean of {ASKINGS} answers, and an image counts as fooled "
                "only if it fools the model again."
            )
        if self.by_company and self.alone:
            said.append(
                "Its answers depend on the other images in the batch, as with batch statistics: "
                "each image was run alone, and larger batches may get other answers."
            )
        elif self.by_company:
            said.append(
                "Its answers depend on the other images in the batch, as with batch statistics, "
                "and it can't run single images: the figures hold for these batches only."
            )
        return tuple(said)


STEADY = Manner()


def manner_of(ask: Callable[[Tensor], Tensor], images: Tensor, times: int = _EQUAL) -> Manner:
    """Find out how a model answers, by asking the same in several ways.

    Args:
        ask: images (N, C, H, W) to logits (N, K).
        images: different ones, N ≥ 2.
        times: how often to ask about all of them.
    """
    try:
        together = ask(images)
    except InputError:
        return STEADY  # it need not accept these images; the real ones are checked elsewhere
    spread = together.std()
    if not spread.isfinite():
        return STEADY
    at_random = any(bool(_rms(together - ask(images)) > _TWICE * spread) for _ in range(times - 1))
    try:
        first, alone = ask(images[:1]), True
    except Exception:  # a single image may have no batch statistics
        first, alone = ask(images[:2]), False
    strays = 0.0
    if at_random:  # means of several answers still vary, but less
        answers = torch.stack([ask(images) for _ in range(ASKINGS)])
        parts = torch.split(images, len(first))
        apart = [torch.cat([ask(part) for part in parts]) for _ in range(ASKINGS)]
        together, first = answers.mean(0), torch.stack(apart).mean(0)
        strays = 2 * math.sqrt(2 / ASKINGS) * float(_rms(answers.std(0)))
    by_company = _rms(together[: len(first)] - first) > _APART * spread + strays
    return Manner(at_random, bool(by_company), alone)


def settled(ask: Callable[..., Tensor], manner: Manner, images: Tensor, *others: Tensor) -> Tensor:
    """Logits (N, K) that depend on each image alone, as far as possible.

    Args:
        ask: images (N, C, H, W), and other inputs per image, to logits (N, K).
        manner: how the model answers.
        images: (N, C, H, W).
        others: (N, …), passed to `ask` with the images.

    Returns:
        The logits, from single images if the batch matters. If answers vary, the logarithms of the
        mean probabilities over `ASKINGS` answers.
    """

    def once() -> Tensor:
        given = (images, *others)
        if not manner.alone and len(images) == 1:  # it is its own batch
            return ask(*(torch.cat([each, each]) for each in given))[:1]
        if not (manner.by_company and manner.alone) or len(images) < 2:
            return ask(*given)
        parts = zip(*(torch.split(each, 1) for each in given), strict=True)
        return torch.cat([ask(*part) for part in parts])

    if not manner.at_random:
        return once()
    answers = torch.stack([once().log_softmax(1) for _ in range(ASKINGS)])
    return answers.logsumexp(0) - math.log(ASKINGS)


def _rms(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()
