"""Objectives: the scalar per image that the image loop maximises.

Each maps logits (N, K) and targets (N,) int64 to scores (N,). It doesn't need the image, and never
averages over the batch: images are optimised side by side, not together.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Objective = Callable[[Tensor, Tensor], Tensor]
"""Logits (N, K) and targets (N,) to scores (N,)."""


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """log(p / (1 - p)) of the target's confidence p: its logit less the logsumexp of the others.

    It grows with the confidence, and its gradient never vanishes, however sure the network is of
    another class; that of the cross-entropy vanishes as the confidence nears 1.

    >>> log_odds(torch.tensor([[0.0, 0.0, 3.0]]), torch.tensor([2])).exp().tolist()  # e³ / 2
    [10.04...]
    """
    target = logits.gather(1, targets[:, None]).squeeze(1)
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return target - others.logsumexp(1)


def log_probability(logits: Tensor, targets: Tensor) -> Tensor:
    """Log p of the target, the negative cross-entropy (Szegedy et al. 2014).

    >>> log_probability(torch.tensor([[0.0, 0.0]]), torch.tensor([1])).exp().tolist()
    [0.5]
    """
    return -F.cross_entropy(logits, targets, reduction="none")


def logit(logits: Tensor, targets: Tensor) -> Tensor:
    """The target's logit alone, as in activation maximisation (Simonyan et al. 2014).

    >>> logit(torch.tensor([[1.0, -2.0]]), torch.tensor([1])).tolist()
    [-2.0]
    """
    return logits.gather(1, targets[:, None]).squeeze(1)


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """The target's logit less the highest other one (Carlini and Wagner 2017, f6).

    >>> margin(torch.tensor([[1.0, 4.0, 2.0]]), torch.tensor([2])).tolist()
    [-2.0]
    """
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return logit(logits, targets) - others.amax(1)


OBJECTIVES: dict[str, Objective] = {
    "log_odds": log_odds,
    "log_probability": log_probability,
    "logit": logit,
    "margin": margin,
}
"""By name; higher is better for the target."""
