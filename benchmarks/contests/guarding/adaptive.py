"""Attacks made for a guarded network: along its gradient, those of its parts and other guards'.

A guarded network is deceived only where guard and classifier agree. So each is attacked alone as
well, and what the whole says on the way is what counts (Tramèr et al. 2020).
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from deceive.guarding import GuardedModel

Logits = Callable[[Tensor], Tensor]

# Auto-PGD (Croce and Hein 2020): the first step size, the share of the last step that is repeated,
# the share of steps that have to gain, and where the step size is looked at, in shares of all.
_SIZE, _MOMENTUM, _GAINING = 0.1, 0.25, 0.75
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


@dataclass
class _Climb:
    """The candidates that still climb: the first dimension of each tensor."""

    place: Tensor
    """(N,) their places among all."""
    targets: Tensor
    now: Tensor
    last: Tensor
    best: Tensor
    """The images with the greatest value so far, which is `best_value`."""
    size: Tensor
    """(N, 1, 1, 1) step sizes."""
    size_before: Tensor
    best_value: Tensor
    value_before: Tensor
    """The greatest value when the step size was last looked at."""
    previous: Tensor
    """The value one step ago."""
    gains: Tensor
    """(N,) steps that gained since the step size was last looked at."""

    @classmethod
    def of(cls, start: Tensor, targets: Tensor) -> "_Climb":
        count = len(start)
        size, least = torch.full((count, 1, 1, 1), _SIZE), torch.full((count,), -torch.inf)
        return cls(
            torch.arange(count),
            targets,
            *(start.clone() for _ in range(3)),
            *(size.clone() for _ in range(2)),
            *(least.clone() for _ in range(3)),
            torch.zeros(count),
        )

    def only(self, chosen: Tensor) -> None:
        """Keep these candidates (N,) alone."""
        if not chosen.all():
            for each in fields(self):
                setattr(self, each.name, getattr(self, each.name)[chosen])

    def valued(self, value: Tensor) -> None:
        """Note the values (N,) of the images now."""
        self.gains += value > self.previous
        better = value > self.best_value
        self.best[better] = self.now[better]
        self.best_value, self.previous = torch.maximum(self.best_value, value), value

    def halve(self, since: int) -> None:
        """Halve the step size of those that got stuck, and let them go on from their best image."""
        same = (self.size == self.size_before)[:, 0, 0, 0]
        stuck = (self.gains < _GAINING * since) | (same & (self.best_value <= self.value_before))
        self.size_before, self.value_before = self.size.clone(), self.best_value.clone()
        self.size[stuck] /= 2
        self.now[stuck] = self.best[stuck]
        self.gains = torch.zeros(len(self.place))

    def step(self, gradient: Tensor) -> None:
        """One step along the sign of the gradient, within [0, 1]."""
        ahead = (self.now + self.size * gradient.sign()).clamp(0, 1)
        moved = self.now + (1 - _MOMENTUM) * (ahead - self.now) + _MOMENTUM * (self.now - self.last)
        self.last, self.now = self.now, moved.clamp(0, 1)


def climbed(
    guarded: Logits,
    logits: Logits,
    start: Tensor,
    targets: Tensor,
    steps: int,
    threshold: float,
) -> tuple[Tensor, Tensor]:
    """Auto-PGD with step halving, anywhere in [0, 1].

    Args:
        guarded: says what counts.
        logits: what is climbed.
        start: (N, C, H, W) in [0, 1].
        targets: (N,).
        steps: the most of each image.
        threshold: a candidate stops once the guarded network is this sure of its image.

    Returns:
        The greatest confidence (N,) that the guarded network had in each target up to there, and
        these images.
    """
    climb, looks, since, period = _Climb.of(start, targets), 0.0, 0, _FIRST
    sure, found = torch.full((len(start),), -torch.inf), start.clone()
    for step in range(steps):
        image = climb.now.clone().requires_grad_()
        value = log_odds(logits(image), climb.targets)
        (gradient,) = torch.autograd.grad(value.sum(), image)
        climb.valued(value.detach())
        if logits is guarded:
            confidence = value.detach().sigmoid()
        else:
            confidence = _confidence(guarded, climb.now, climb.targets)
        surer = confidence > sure[climb.place]
        found[climb.place[surer]] = climb.now[surer]
        sure[climb.place] = torch.maximum(sure[climb.place], confidence)
        going = confidence < threshold
        climb.only(going)
        if not len(climb.place):
            break
        since += 1
        if step / steps >= looks + period:
            climb.halve(since)
            since, looks, period = 0, looks + period, max(period - _LESS, _LEAST)
        else:
            climb.step(gradient[going])
    return sure, found


@torch.no_grad()
def _confidence(guarded: Logits, images: Tensor, targets: Tensor) -> Tensor:
    return F.softmax(guarded(images), 1).gather(1, targets[:, None])[:, 0]
