"""Scores from logits that tell real images from others, without training; greater for real ones."""

import torch
from torch import Tensor

# GEN's power, and the number of greatest probabilities it looks at (Liu, Lochman and Zach 2023).
_GAMMA, _TOP = 0.1, 100


def max_logit(logits: Tensor) -> Tensor:
    """The greatest logit (N,), of logits (N, K): max_j z_j (Hendrycks et al. 2022).

    >>> max_logit(torch.tensor([[1.0, 3.0]])).tolist()
    [3.0]
    """
    return logits.amax(1)


def energy(logits: Tensor) -> Tensor:
    """The negative free energy (N,), of logits (N, K): log Σ_j exp(z_j) (Liu et al. 2020).

    >>> energy(torch.zeros(1, 2)).exp().tolist()
    [2.0]
    """
    return logits.logsumexp(1)


def entropy(logits: Tensor) -> Tensor:
    """Minus the entropy (N,), of logits (N, K): Σ_j p_j log p_j, p the softmax; at most 0.

    >>> entropy(torch.zeros(1, 2)).exp().tolist()
    [0.5]
    """
    logs = logits.log_softmax(1)
    return (logs.exp() * logs).sum(1)


def generalised_entropy(logits: Tensor) -> Tensor:
    """GEN (N,), of logits (N, K): - Σ_j p_j^γ (1 - p_j)^γ (Liu, Lochman and Zach 2023).

    γ = 0.1, and the sum is over the 100 greatest probabilities p_j. Small probabilities count for
    more than in the entropy.

    >>> generalised_entropy(torch.zeros(1, 2, dtype=torch.float64)).tolist()  # - 2 · 0.25^0.1
    [-1.741...]
    """
    p = logits.softmax(1)
    p = p.topk(min(_TOP, p.shape[1])).values
    return -(p * (1 - p)).clamp_min(0).pow(_GAMMA).sum(1)


def templates_of(logits: Tensor) -> Tensor:
    """For KL matching: the mean softmax (T, K) of the images read as each class, 1 ≤ T ≤ K.

    Args:
        logits: (N, K) of real images, N ≥ 1. A class that none is read as has no template.

    >>> templates_of(torch.tensor([[0.0, 0.0], [0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    p = logits.softmax(1)
    read = p.argmax(1)
    return torch.stack([p[read == each].mean(0) for each in torch.unique(read)])


def kl_matching(logits: Tensor, templates: Tensor) -> Tensor:
    """Minus the divergence (N,) from the nearest template: - min_k KL(p ‖ d_k) (Hendrycks 2022).

    Args:
        logits: (N, K), with softmax p.
        templates: (T, K), of `templates_of`: d_k.

    >>> kl_matching(torch.zeros(1, 2), torch.tensor([[0.5, 0.5], [0.9, 0.1]])).abs().tolist()
    [0.0]
    """
    logs = logits.log_softmax(1)
    p = logs.exp()
    # A probability that float64 rounds to 0 counts as the smallest one it holds.
    against = templates.clamp_min(torch.finfo(templates.dtype).tiny).log()
    return (p @ against.T).amax(1) - (p * logs).sum(1)
