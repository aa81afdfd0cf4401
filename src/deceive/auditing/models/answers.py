"""What kind of scores a model gives."""

from typing import Any, Literal

import torch
from torch import Tensor

from deceive.common.errors import InputError
from deceive.networks.squashing import are_probabilities

Answers = Literal["logits", "probabilities", "log-probabilities", "sigmoids"]

# How far rounding may move the sums of votes, and the logarithm of the sum of probabilities.
_ROUNDING = 1e-3


def kind_of(outputs: Tensor) -> tuple[Answers, float]:
    """What kind of scores (N, K) these are, K ≥ 2, and what those of an image sum to, else 1.

    Per cent and votes are probabilities that sum to more than 1. (On real images a sigmoid exceeds
    0.5 somewhere; small logits don't.)

    >>> kind_of(torch.tensor([[0.2, 0.8], [0.5, 0.5]]))
    ('probabilities', 1.0)
    >>> kind_of(torch.tensor([[20.0, 80.0], [50.0, 50.0]]))
    ('probabilities', 100.0)
    >>> kind_of(torch.tensor([[-3.0, 8.0], [0.5, 0.5]]))
    ('logits', 1.0)
    """
    if are_probabilities(outputs):
        return "probabilities", 1.0
    sums = outputs.sum(1)
    whole, differ = sums.mean(), (outputs != outputs[0]).any()
    shares = (outputs >= 0).all() and differ and ((sums / whole - 1).abs() < _ROUNDING).all()
    if shares and whole > 1:
        return "probabilities", round(whole.item(), 2)
    if (outputs >= 0).all() and 0.5 < outputs.max() <= 1:
        return "sigmoids", 1.0
    logs = (outputs.logsumexp(1).abs() < _ROUNDING).all()
    return "log-probabilities" if logs else "logits", 1.0


def kind_of_single(scores: Tensor) -> Answers:
    """What single scores (N, 1) of two classes are: probabilities of the second, or its logits."""
    return "probabilities" if ((scores >= 0) & (scores <= 1)).all() else "logits"


def columns_of(output: Tensor) -> Tensor:
    """An output as scores (N, K), without sides of length 1; anything else as it is.

    >>> columns_of(torch.zeros(5, 10, 1, 1)).shape, columns_of(torch.zeros(5)).shape
    (torch.Size([5, 10]), torch.Size([5, 1]))
    """
    wide = [side for side in output.shape[1:] if side != 1]
    return output.reshape(output.shape[0], wide[0] if wide else 1) if len(wide) <= 1 else output


def rows(output: Any, count: int) -> Tensor:
    """An output as scores (N, K) float32 on the CPU; copied, as some models reuse one tensor.

    Raises `InputError` when it isn't (count, K), apart from sides of length 1.
    """
    found = as_tensor(output)
    shape = tuple(found.shape)
    if found.ndim == 0 or len(found) != count:
        raise InputError(
            f"model: expected outputs of shape ({count}, K), a row for each image, got {shape}; "
            "return a callable that gives one row of scores per image"
        )
    found = columns_of(found)
    if found.ndim != 2:
        raise InputError(
            f"model: expected outputs of shape ({count}, K), a score for each class, got {shape}; "
            "return a callable that gives class scores alone, or choose an output with --output "
            "NAME"
        )
    return found.detach().to("cpu", torch.float32, copy=True)


def as_tensor(output: Any) -> Tensor:
    """An output as a tensor. Raises `InputError` when it holds anything but numbers."""
    if isinstance(output, Tensor):
        return output
    try:
        return torch.as_tensor(output)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            "model: expected scores (N, K) as a tensor or array of numbers, got "
            f"{_described(output)}; return a callable that gives scores: logits, or what "
            "predict_proba gives"
        ) from error


def _described(output: Any) -> str:
    kind = getattr(getattr(output, "dtype", None), "kind", "")
    return "labels" if kind in "OUS" and kind else type(output).__name__
