"""Fit a guarded network to real images, so that the share asked for reaches its threshold."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.networks.guarded import opinion_of_both
from deceive.training.calibrating import inverse_temperature

# A classifier's confidence is raised only if at least the first share of its surest answers is
# right. It is raised until it reaches the second number in as many images as should pass, plus the
# third number, a share.
_RIGHT, _SURER, _SPARE = 0.99, 0.995, 0.01

# The guard's opinion on the class may cost so much accuracy, and the second number times what the
# classifier gets wrong. Doubts about that opinion are tried in this order, until it costs no more.
_LOST, _OF_ERRORS, _DOUBTS = 0.0005, 0.02, (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99)

# If real images can't reach the confidence asked for, the threshold is this share of what they
# reach without rubbish. The lower the share, the more probability is left for rubbish.
_BELOW = 0.6


@dataclass(frozen=True, eq=False)
class Said:
    """What was said about N real images of K classes."""

    guard: Tensor
    """(N, K + 1) logits of the guard, float64."""
    reader: Tensor
    """(N, K) logits of the classifier, float64."""
    labels: Tensor
    """(N,) int64."""
    detector: Tensor | None = None
    """(N,) log-odds of a detector, float64."""
    of_any_class: bool = False
    """Whether the guard was taught about images of any class, and has no say in which."""


@dataclass(frozen=True)
class Calibration:
    """What a guarded network is set to."""

    power: float
    """What the classifier's logits are multiplied by."""
    guard_doubt: float
    """How often the guard's choice of a class is taken to be a guess."""
    expected: float
    """What is added to the guard's rubbish logit."""
    threshold: float
    """The confidence at which an image passes."""
    kept: float
    """The share of these images that pass."""
    reader_accuracy: float
    """Of the classifier, on these images."""
    accuracy: float
    """Of the guarded network, on these images, rubbish left out."""
    passing_accuracy: float
    """Of the guarded network, on those that pass."""


def calibration_of(said: Said, *, keep: float, confidence: float, doubt: float) -> Calibration:
    """Settings with which real images pass a guarded network.

    Args:
        said: about real images, none of them seen in training.
        keep: the share of them that should pass.
        confidence: at which they should, if the classifier is right often enough.
        doubt: how often the classifier is taken to be wrong.

    The rubbish logit is chosen so that the images pass at the confidence asked for (prior odds,
    Saerens et al. 2002). One standard error is added to the share, since these are a sample.
    """
    power = _power(said, keep, confidence)
    reader_accuracy = _share(said.reader.argmax(1) == said.labels)
    guard_doubt, classes = _opinion(said, power, doubt, reader_accuracy)
    wanted = min(1.0, keep + math.sqrt(keep * (1 - keep) / len(classes)))
    asked = confidence
    expected = _expected(said, classes, asked, wanted)
    if not math.isfinite(expected):
        sure = _probabilities(said, classes, -math.inf).amax(1).quantile(1 - wanted).item()
        asked = _BELOW * min(confidence, sure)
        expected = _expected(said, classes, asked, wanted)
    p = _probabilities(said, classes, expected)
    passes, right = p.amax(1) >= asked, p.argmax(1) == said.labels
    return Calibration(
        power=power,
        guard_doubt=guard_doubt,
        expected=expected,
        threshold=asked,
        kept=_share(passes),
        reader_accuracy=reader_accuracy,
        accuracy=_share(right),
        passing_accuracy=_share(right[passes]) if passes.any() else 0.0,
    )


def _power(said: Said, keep: float, confidence: float) -> float:
    """1 / temperature of the classifier (Guo et al. 2017); more where its answers deserve it.

    They do if enough are right of the share `keep` that it is surest of. The power is then raised
    until these images can get the confidence asked for.
    """
    power = inverse_temperature(said.reader, said.labels)
    sure = (said.reader * power).softmax(1).amax(1)
    surest = sure >= sure.quantile(1 - keep)
    right = _share((said.reader.argmax(1) == said.labels)[surest])
    if right < max(_RIGHT, confidence):
        return power
    wanted, needed = max(_SURER, (1 + confidence) / 2), min(0.999, keep + _SPARE)
    while sure.quantile(1 - needed) < wanted and power < 1000:
        power *= 1.1
        sure = (said.reader * power).softmax(1).amax(1)
    return power


def _opinion(
    said: Said, power: float, doubt: float, reader_accuracy: float
) -> tuple[float, Tensor]:
    """The least doubt about the guard that costs little accuracy; the classes' logits (N, K)."""
    least = reader_accuracy - _LOST - _OF_ERRORS * (1 - reader_accuracy)
    for guard_doubt in (1.0,) if said.of_any_class else _DOUBTS:
        classes = opinion_of_both(said.guard[:, :-1], said.reader * power, doubt, guard_doubt)
        if _share(classes.argmax(1) == said.labels) >= least:
            break
    return guard_doubt, classes


def _expected(said: Said, classes: Tensor, confidence: float, share: float) -> float:
    """What to add to the rubbish logit so that this share of images gets the confidence.

    -inf if nothing is low enough.
    """
    # p ≥ c as long as rubbish ≤ greatest · (1 - c) / c - others, all in units of the greatest.
    highest = classes.amax(1)
    others = (classes - highest[:, None]).exp().sum(1) - 1
    room = (1 - confidence) / confidence - others
    if said.detector is not None:
        whole = said.guard[:, :-1].logsumexp(1)
        room = room - (whole - said.detector - highest).exp()
    most = room.clamp_min(0).log() + highest - said.guard[:, -1]
    return most.sort(descending=True).values[math.ceil(share * len(most)) - 1].item()


def _probabilities(said: Said, classes: Tensor, expected: float) -> Tensor:
    """Of the classes (N, K), with this added to the rubbish logit."""
    rubbish = said.guard[:, -1] + expected
    if said.detector is not None:
        whole = said.guard[:, :-1].logsumexp(1)
        rubbish = torch.logaddexp(rubbish, whole - said.detector)
    return torch.cat([classes, rubbish[:, None]], 1).softmax(1)[:, :-1]


def _share(flags: Tensor) -> float:
    return flags.double().mean().item()
