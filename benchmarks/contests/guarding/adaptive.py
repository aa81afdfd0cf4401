"""Attacks made for a guarded network: along its gradient, and along those of its parts.

A guarded network is deceived only where guard and classifier agree. So each is attacked alone as
well, and what the whole says on the way is what counts (Tramèr et al. 2020).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from deceive.guarding import GuardedModel

Logits = Callable[[Tensor], Tensor]

# Auto-PGD (Croce and Hein 2020): the share of the last step that is repeated, the share of steps
# that have to gain, and where the step size is looked at, in shares of all steps.
_MOMENTUM, _GAINING = 0.25, 0.75
_FIRST, _LESS, _LEAST = 0.22, 0.03, 0.06


def objectives(guarded: GuardedModel) -> dict[str, Logits]:
    """What is climbed: the logits of the whole, of the guard, and of the classifier."""
    network = guarded.network
    return {
        "guard and classifier": guarded,
        "the guard alone": network.guard,
        "the classifier alone": network.readers[0],
    }


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """The logit of each target against all others (N,)."""
    target = logits.gather(1, targets[:, None])
    return (target - logits.scatter(1, targets[:, None], -torch.inf).logsumexp(1, True))[:, 0]


def climbed(
    guarded: GuardedModel, logits: Logits, start: Tensor, targets: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """Auto-PGD with step halving, anywhere in [0, 1].

    Args:
        guarded: says what counts.
        logits: what is climbed.
        start: (N, C, H, W) in [0, 1].
        targets: (N,).
        steps: of each image.

    Returns:
        The greatest confidence (N,) that the whole had in each target on the way, and the images.
    """
    size = torch.full((len(start), 1, 1, 1), 0.1)
    now = last = start.clone()
    best, best_value = now.clone(), torch.full((len(start),), -torch.inf)
    found, sure = now.clone(), _confidence(guarded, now, targets)
    gains, before = torch.zeros(len(start)), best_value.clone()
    size_before, looks, since, period = size.clone(), 0.0, 0, _FIRST
    previous = best_value.clone()
    for step in range(steps):
        image = now.clone().requires_grad_()
        value = log_odds(logits(image), targets)
        (gradient,) = torch.autograd.grad(value.sum(), image)
        value = value.detach()
        gains += value > previous
        better = value > best_value
        best[better], best_value = now[better], torch.maximum(best_value, value)
        previous, since = value, since + 1
        if step / steps >= looks + period:
            stuck = (gains < _GAINING * since) | (
                (size == size_before)[:, 0, 0, 0] & (best_value <= before)
            )
            size_before = size.clone()
            size[stuck] /= 2
            now[stuck] = best[stuck]
            gains, before, since = torch.zeros(len(start)), best_value.clone(), 0
            looks, period = looks + period, max(period - _LESS, _LEAST)
            continue
        ahead = (now + size * gradient.sign()).clamp(0, 1)
        moved = now + (1 - _MOMENTUM) * (ahead - now) + _MOMENTUM * (now - last)
        last, now = now, moved.clamp(0, 1)
        if logits is guarded:
            continue  # its next gradient tells
        confidence = _confidence(guarded, now, targets)
        surer = confidence > sure
        found[surer], sure = now[surer], torch.maximum(sure, confidence)
    if logits is guarded:
        return best_value.sigmoid(), best
    return sure, found


@torch.no_grad()
def _confidence(guarded: GuardedModel, images: Tensor, targets: Tensor) -> Tensor:
    return F.softmax(guarded(images), 1).gather(1, targets[:, None])[:, 0]
