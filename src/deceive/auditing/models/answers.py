"""What kind of scores a model gives."""

from typing import Any, Literal

import torch
from torch import Tensor

from deceive.common.errors import InputError
from deceive.networks.squashing import are_probabilities

Answers = Literal["logits", "probabilities", "log-probabilities"]

# How far rounding may move the sums of votes, and the logarithm of the sum of probabilities.
_ROUNDING = 1e-3


def kind_of(outputs: Tensor) -> Answers:
    """What kind of scores (N, K) these are.

    Raises `InputError` for a sigmoid per class, which doesn't sum to 1, and for percentages and
    votes, which sum to more. (On real images a sigmoid exceeds 0.5 somewhere; small logits don't.)

    >>> kind_of(torch.tensor([[0.2, 0.8], [0.5, 0.5]]))
    'probabilities'
    >>> kind_of(torch.tensor([[-3.0, 8.0], [0.5, 0.5]]))
    'logits'
    """
    if are_probabilities(outputs):
        return "probabilities"
    sums = outputs.sum(1)
    whole, differ = sums.mean(), (outputs != outputs[0]).any()
    shares = (outputs >= 0).all() and differ and ((sums / whole - 1).abs() < _ROUNDING).all()
    if shares and whole > 1:
        raise InputError(
            "model: expected logits, or probabilities that sum to 1 for each image, got outputs "
            f"that sum to {whole:.4g}, as per cent and votes do; let the model divide by that"
        )
    if (outputs >= 0).all() and 0.5 < outputs.max() <= 1:
        raise InputError(
            "model: expected logits, or probabilities that sum to 1 for each image, got outputs "
            f"in [0, 1] with sums from {sums.min():.3g} to {sums.max():.3g}, as of a sigmoid per "
            "class; let the model return the logits before the sigmoid"
        )
    return "log-probabilities" if (outputs.logsumexp(1).abs() < _ROUNDING).all() else "logits"


def rows(output: Any, count: int) -> Tensor:
    """An output as scores (N, K) float32 on the CPU; copied, as some models reuse one tensor.

    Raises `InputError` when it isn't (count, K) with K ≥ 2.
    """
    found = output if isinstance(output, Tensor) else torch.as_tensor(output)
    if found.ndim != 2 or len(found) != count or found.shape[1] < 2:
        raise InputError(
            f"model: expected outputs of shape ({count}, K) with K ≥ 2, got {tuple(found.shape)}"
        )
    return found.detach().to("cpu", torch.float32, copy=True)
