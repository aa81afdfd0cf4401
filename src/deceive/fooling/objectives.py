"""What the image loop ascends: one scalar an image.

An objective maps logits (N, K) and targets (N,) to a tensor (N,). It never needs the image, and
never averages over the batch: images are optimised beside each other, not together.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Objective = Callable[[Tensor, Tensor], Tensor]


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """log(p / (1 - p)) of the target's confidence p: its logit less the logsumexp of the others.

    Grows with the confidence, and its gradient never vanishes, however sure the network is of
    something else; the cross-entropy's does when the confidence nears 1.
    """
    target = logits.gather(1, targets[:, None]).squeeze(1)
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return target - others.logsumexp(1)


def log_probability(logits: Tensor, targets: Tensor) -> Tensor:
    """Log p of the target: the cross-entropy turned round (Szegedy et al. 2014)."""
    return -F.cross_entropy(logits, targets, reduction="none")


def logit(logits: Tensor, targets: Tensor) -> Tensor:
    """The target's logit alone, as in activation maximisation (Simonyan et al. 2014)."""
    return logits.gather(1, targets[:, None]).squeeze(1)


def margin(logits: Tensor, targets: Tensor) -> Tensor:
    """The target's logit less the best other one (Carlini and Wagner 2017, f6)."""
    others = logits.scatter(1, targets[:, None], -torch.inf)
    return logit(logits, targets) - others.amax(1)


OBJECTIVES: dict[str, Objective] = {
    "log_odds": log_odds,
    "log_probability": log_probability,
    "logit": logit,
    "margin": margin,
}
