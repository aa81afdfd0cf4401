"""Models whose answer to an image is not settled by the image.

Some answer differently each time (dropout that is left on, added noise), and some by the company
that an image is asked in (batch statistics). Of the first the mean of several answers is taken, the
others are asked about each image alone.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from deceive.errors import InputError

# Answers that are averaged. The standard error of the mean is less than half of what one answer
# strays by, and five times the work can still be waited for.
ASKINGS = 5

# How far two answers to the same question may lie apart, as a share of how far answers to different
# ones do. The first is asked in the same words, which at most changes the order of a GPU's
# sums; the second in batches of two sizes, where half precision makes 0.001 and the scales of 8-bit
# layers 0.01. Dropout and batch statistics make 0.1 and more.
_TWICE, _APART = 1e-3, 0.05


class Manner(NamedTuple):
    """How a model answers."""

    at_random: bool = False
    """Differently each time."""
    by_company: bool = False
    """Differently when an image is asked about among others."""
    alone: bool = True
    """Whether it can be asked about one image alone."""

    @property
    def cautions(self) -> tuple[str, ...]:
        """Why what is found of it says less, in sentences; none where it says all it can."""
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


def manner_of(ask: Callable[[Tensor], Tensor], images: Tensor) -> Manner:
    """Find out how a model answers, by asking it the same in several ways.

    Args:
        ask: images (N, C, H, W) to logits (N, K).
        images: some that differ, N ≥ 2.
    """
    try:
        together = ask(images)
    except InputError:
        return STEADY  # it need not read these; what it is wanted for it is asked about elsewhere
    spread = together.std()
    if not spread.isfinite():
        return STEADY
    at_random = any(  # one that chooses between two networks often chooses the same twice
        bool(_rms(together - ask(images)) > _TWICE * spread) for _ in range(ASKINGS - 1)
    )
    try:
        first, alone = ask(images[:1]), True
    except Exception:  # batch statistics of one image may be none
        first, alone = ask(images[:2]), False
    strays = 0.0
    if at_random:  # means of several answers stray from each other too, by less
        answers = torch.stack([ask(images) for _ in range(ASKINGS)])
        parts = torch.split(images, len(first))
        apart = [torch.cat([ask(part) for part in parts]) for _ in range(ASKINGS)]
        together, first = answers.mean(0), torch.stack(apart).mean(0)
        strays = 2 * math.sqrt(2 / ASKINGS) * float(_rms(answers.std(0)))
    by_company = _rms(together[: len(first)] - first) > _APART * spread + strays
    return Manner(at_random, bool(by_company), alone)


def settled(ask: Callable[..., Tensor], manner: Manner, images: Tensor, *others: Tensor) -> Tensor:
    """Logits (N, K) that an image alone settles, as far as that can be.

    Args:
        ask: images (N, C, H, W), and what else there is to say of each, to logits (N, K).
        manner: how it answers.
        images: (N, C, H, W).
        others: (N, …), given to `ask` with them.

    Returns:
        What it says, of each image alone where company matters. Of one that answers at random, the
        logarithms of the mean probabilities of `ASKINGS` answers.
    """

    def once() -> Tensor:
        given = (images, *others)
        if not manner.alone and len(images) == 1:  # its own company
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
