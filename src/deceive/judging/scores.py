"""How well confidence, or any score, tells what is right from what isn't."""

import math

import torch
from torch import Tensor

from deceive.common import checks
from deceive.common.errors import InputError


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, in [0, 1].

    Predictions are sorted into `bins` of equal width by their confidence, the greatest
    probability; the error is the mean of |accuracy - confidence| over them, each bin weighted by
    its share (Naeini et al. 2015; Guo et al. 2017). Certainty is a bin of its own, as it is for
    torchmetrics, whose import alone takes longer than a small audit.

        >>> import torch
        >>> from deceive.judging.scores import calibration_error
        >>> p = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
        >>> calibration_error(p, torch.tensor([0, 0]))  # half are right
        0.25

    Args:
        probabilities: (N, K) in [0, 1], N ≥ 1.
        labels: (N,) int64, 0 to K - 1.
        bins: at least 1; 15 is customary.
    """
    confidence, predicted = probabilities.double().max(1)
    place = (confidence * bins).long().clamp(0, bins)
    miss = (predicted == labels).double() - confidence
    of_bins = torch.zeros(bins + 1, dtype=torch.float64, device=place.device)
    return (of_bins.index_add(0, place, miss).abs().sum() / len(labels)).item()


def auroc(inside: Tensor, outside: Tensor) -> float:
    """How well a score tells images inside the distribution from others: area under the ROC curve.

    The chance that an image inside scores higher than one outside; equal scores count half
    (Fawcett 2006). 1 is perfect, 0.5 is guessing; below it the others score higher.

        >>> import torch
        >>> from deceive.judging.scores import auroc
        >>> auroc(torch.tensor([0.9, 0.8]), torch.tensor([0.1, 0.85]))
        0.75

    Args:
        inside: (N,) scores of real images, N ≥ 1, of any range.
        outside: (M,) scores of the others, M ≥ 1.

    Raises:
        InputError: when there are none of either, or a score is NaN.
    """
    for name, scores in (("inside", inside), ("outside", outside)):
        _check_scores(name, scores)
    others = outside.double().sort().values
    ours = inside.double()
    lower = torch.searchsorted(others, ours)
    not_higher = torch.searchsorted(others, ours, right=True)
    return ((lower + not_higher).double().mean() / (2 * len(others))).item()


def fpr_at_tpr(held_out: Tensor, outside: Tensor, tpr: float = 0.95) -> float:
    """Share of images outside the distribution that pass a threshold which real images pass.

    The threshold is the greatest score that a share of at least `tpr` of the held-out real images
    reach; images outside don't affect it (Hendrycks and Gimpel 2017).

        >>> import torch
        >>> from deceive.judging.scores import fpr_at_tpr
        >>> fpr_at_tpr(torch.tensor([0.5, 0.9]), torch.tensor([0.1, 0.6]))
        0.5

    Args:
        held_out: (N,) scores of real images that nothing else is reported on, N ≥ 1.
        outside: (M,) scores of the others, M ≥ 1.
        tpr: in (0, 1).

    Returns:
        The false positive rate, in [0, 1]; less is better.

    Raises:
        InputError: when there are none of either, or a score is NaN.
    """
    _check_scores("outside", outside)
    return (outside >= reached_by(held_out, tpr)).double().mean().item()


def reached_by(scores: Tensor, share: float) -> float:
    """The greatest of the scores (N,), N ≥ 1, that a share of at least `share` of them reach.

    Raises `InputError` when there are none, a score is NaN, or `share` isn't in (0, 1).

        >>> import torch
        >>> from deceive.judging.scores import reached_by
        >>> round(reached_by(torch.tensor([0.2, 0.4, 0.6, 0.8]), 0.75), 6)
        0.4
    """
    checks.open_interval("share", share, 0, 1)
    _check_scores("scores", scores)
    return scores.sort(descending=True).values[math.ceil(share * len(scores)) - 1].item()


def _check_scores(name: str, scores: Tensor) -> None:
    if scores.ndim != 1 or len(scores) == 0 or scores.isnan().any():
        raise InputError(
            f"{name}: expected at least 1 score (N,), none of them NaN, got {tuple(scores.shape)}"
        )
