"""Images that are not optimised and show none of the classes, and how a model scores them."""

from collections.abc import Callable

import torch
from torch import Tensor

from deceive.auditing.models.subject import Subject
from deceive.common.levels import from_levels, to_levels
from deceive.common.seeds import generator_for
from deceive.data.dataset import Split
from deceive.fooling.objectives import log_odds
from deceive.fooling.starts import begin
from deceive.judging.scores import auroc, fpr_at_tpr


def _noise(kind: str) -> Callable[[int, Split, int], Tensor]:
    return lambda count, real, seed: begin(kind, range(count), _shape(real), seed)


def permuted(count: int, real: Split, seed: int) -> Tensor:
    """Real images, each with its pixels shuffled in its own order (Meinke and Hein 2020)."""
    images = []
    for index in range(count):
        image = real.images[index % len(real)]
        order = torch.randperm(image[0].numel(), generator=generator_for(seed, index))
        images.append(image.flatten(1)[:, order].view(image.shape))
    return torch.stack(images)


def constant(count: int, real: Split, seed: int) -> Tensor:
    """Plain greys (count, C, H, W), from black to white in equal steps.

    >>> real = Split(torch.rand(1, 1, 2, 2), torch.zeros(1, dtype=torch.int64))
    >>> constant(3, real, seed=0).flatten(1)[:, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    greys = torch.arange(count) / max(count - 1, 1)
    return greys.view(-1, 1, 1, 1).expand(-1, *_shape(real)).contiguous()


GARBAGE: dict[str, Callable[[int, Split, int], Tensor]] = {
    "uniform": _noise("uniform"),
    "gaussian": _noise("gaussian"),
    "smooth": _noise("smooth"),
    "squares": _noise("squares"),
    "permuted": permuted,
    "constant": constant,
}
"""(count, real images, seed) → images (count, C, H, W) in [0, 1]."""


def garbage_images(kind: str, count: int, real: Split, seed: int) -> Tensor:
    """Garbage of a kind from `GARBAGE`, (count, C, H, W) in [0, 1], as a PNG holds it."""
    return from_levels(to_levels(GARBAGE[kind](count, real, seed)))


def scores_of(subject: Subject, logits: Tensor) -> dict[str, Tensor]:
    """Scores that should tell real images from garbage, (N,) float64 each; greater for real ones.

    - `msp`: the greatest probability of a class (Hendrycks and Gimpel 2017);
    - `max_logit`: the greatest logit of a class (Hendrycks et al. 2022);
    - `energy`: the log of the sum of the classes' exponentiated logits (Liu et al. 2020);
    - `rubbish`: the probability that it isn't rubbish, for a model that has such a class.

    Args:
        subject: the model. If it returns probabilities or log-probabilities, `max_logit` and
            `energy` are left out.
        logits: (N, K), finite.
    """
    logits = logits.double()
    classes = subject.class_outputs(logits)
    # As log-odds, which have the same order as the probability but don't round to 1.
    _, surest = logits.where(~_rubbish(subject, logits), -torch.inf).max(1)
    scores = {"msp": log_odds(logits, surest)}
    if subject.answers == "logits":
        scores["max_logit"] = classes.amax(1)
        scores["energy"] = classes.logsumexp(1)
    if subject.rubbish_class is not None:
        scores["rubbish"] = -logits.log_softmax(1)[:, subject.rubbish_class]
    return scores


def _rubbish(subject: Subject, logits: Tensor) -> Tensor:
    """A mask (K,) of the outputs that stand for none of the classes."""
    return torch.arange(logits.shape[1]) == (
        -1 if subject.rubbish_class is None else subject.rubbish_class
    )


def compare(
    held_out: dict[str, Tensor], test: dict[str, Tensor], garbage: dict[str, Tensor]
) -> dict[str, dict[str, float]]:
    """AUROC of the test images against garbage, and its FPR at 95% TPR of the held-out ones."""
    return {
        name: {
            "auroc": auroc(test[name], scores),
            "fpr_at_95_tpr": fpr_at_tpr(held_out[name], scores),
        }
        for name, scores in garbage.items()
    }


def _shape(real: Split) -> tuple[int, int, int]:
    _, channels, height, width = real.images.shape
    return channels, height, width
