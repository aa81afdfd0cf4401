"""What is said about a model's outputs, in sentences."""

import re

from torch import Tensor

from deceive.auditing.models.readings import Reading
from deceive.networks.squashing import Squashing

_NONE_OF_THEM = (
    "It has a sigmoid for each class (as multi-label models do): the audit reads "
    "{} and adds a rubbish class, “none of them”, with a logit of 0. The confidence in a class is "
    "then its sigmoid, or less where several classes are likely."
)

# What stands before the name of a flag that judges have too.
_JUDGES_TOO = re.compile(r"--(?=(size|resize|crop|bounds|mean|std|preprocess|output|rubbish)\b)")

CONSTANT = (
    "It gives the same answer for all of the first {} images, so it ignores them, and the other "
    "figures mean nothing: check its weights, and how its images are prepared."
)


def is_constant(scores: Tensor) -> bool:
    """Whether the scores (N, K) of several images are the same, apart from rounding.

    >>> import torch
    >>> is_constant(torch.tensor([[1.0, 2.0], [1.0, 2.0]])), is_constant(torch.eye(2))
    (True, False)
    """
    apart = (scores - scores[:1]).abs().max()
    return len(scores) > 1 and bool(apart <= 1e-6 * scores.abs().max())


def of_judge(said: str) -> str:
    """The same about a judge, whose flags have other names.

    >>> of_judge("If it was trained with --bounds 0 255, set it.")
    'If it was trained with --judge-bounds 0 255, set it.'
    """
    return _JUDGES_TOO.sub("--judge-", said)


def of_squashing(squashing: Squashing, reading: Reading) -> str:
    """About a softmax or sigmoid before which the logits are read."""
    if reading.none_of_them:
        return _NONE_OF_THEM.format("the logits before it")
    said = f"It returns the {squashing} of its logits; the audit reads the logits instead"
    if squashing == "sigmoid" and not reading.single:
        said += ", and takes their softmax as the confidence"
    return f"{said}."


def of_outputs(reading: Reading, n_outputs: int, n_classes: int, rubbish: int | None) -> list[str]:
    """About what the model itself returns: `n_outputs` scores."""
    said = []
    if reading.single:
        kind = "probability" if reading.answers == "probabilities" else "logit"
        said.append(
            f"It returns one score per image: the audit takes it for the {kind} of the second class"
            + (", and 0 for the logit of the first." if kind == "logit" else ".")
        )
    if rubbish is None and n_outputs == n_classes + 1:
        said.append(
            "It has one output more than the data has classes. If that is a rubbish class, pass "
            f"--rubbish-class {n_classes}."
        )
    if reading.whole != 1:
        said.append(
            f"Its outputs are ≥ 0 and sum to {reading.whole:g} for each image, as percentages "
            "and votes do: the audit divides them by that sum."
        )
    if reading.answers == "sigmoids":
        said.append(
            _NONE_OF_THEM.format("their log-odds")
            if reading.none_of_them
            else "It returns a sigmoid per class; the audit takes the softmax of their log-odds as "
            "the confidence."
        )
    elif reading.answers != "logits":
        taken = "them" if reading.answers == "log-probabilities" else "their logarithm"
        said.append(
            f"It returns {reading.answers}. The audit takes {taken} for the logits, and leaves out "
            "energy and the greatest logit, which then mean nothing."
        )
    return said
