"""Whether two models are one network, by their answers."""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from deceive.auditing.models.subject import Subject
from deceive.auditing.shares import share_of
from deceive.data.dataset import RealData
from deceive.fooling.starts import begin

HALF = 32
"""Images in each half of the batch: real ones, and noise, on which networks differ most."""

# Black, grey and white images beside the noise: all noise is about as bright as grey.
_LEVELS = (0.0, 0.5, 1.0)

# How much the answers of one network in two formats may differ, as a share of how much its answers
# to different images do. 8-bit weights make it 0.01; the two closest shipped
# networks, 6,000 rounds apart in one training, differ by 0.13 on real images and 0.56 on noise.
_OTHER_FORMAT = 0.03

# Images on which even good networks disagree: squares, and equal mixtures of two classes. Two
# networks are one if they choose the same class for nearly all of each. Of the shipped ones that
# read better than guessing, none agree on more than 0.78 of the squares.
_DISPUTED = 128
_SAME_CHOICE = 0.98

# Tolerance factor for answers whose spread was estimated from two samples.
_SAMPLED = 1.5

# Logits this far below the maximum aren't compared: their probabilities round to 0 in float32.
_FLOOR = -80.0


def same_network(one: Subject, other: Subject, data: RealData) -> bool:
    """Whether two models are one network, whatever their format.

    They are if they give the same class probabilities, or choose the same classes even for images
    on which independent networks disagree: then one may be the other at another temperature,
    one-hot, or rounded.
    """
    mine, its = (_answers(each, data) for each in (one, other))
    pairs = [
        (_of_classes(one, mine[half]), _of_classes(other, its[half]))
        for half in mine.keys() & its.keys()
    ]
    if not pairs:
        return False
    if all(agree(*pair, _OTHER_FORMAT) for pair in pairs):
        return True
    if not all(_choose_alike(*pair) for pair in pairs):
        return False
    try:
        shown = [
            [_of_classes(each, each.logits(images)[None]) for each in (one, other)]
            for images in _disputed(data)
        ]
    except Exception:
        return False  # the audit's own parts will meet this error and report it
    told = any(2 * int(_clear(*pair).sum()) > _DISPUTED for pair in shown)
    return told and all(_choose_alike(*pair) for pair in shown)


_KNOWN: WeakKeyDictionary[Subject, tuple[RealData, dict[str, Tensor]]] = WeakKeyDictionary()


def _answers(subject: Subject, data: RealData) -> dict[str, Tensor]:
    """`answers_of`, asked once for as long as the model is there and the data are the same."""
    known = _KNOWN.get(subject)
    if known is None or known[0] is not data:
        known = _KNOWN[subject] = (data, answers_of(subject, data))
    return known[1]


def answers_of(subject: Subject, data: RealData, half: int = HALF) -> dict[str, Tensor]:
    """A model's answers to a fixed batch, by its halves.

    Args:
        subject: the model.
        data: provides the real images.
        half: how many images in each half.

    Returns:
        `real` and `noise` (with evenly black, grey and white images): logits (2, N, K) float32, of
        the same images run together and in small batches. A half on which the model raises an
        error is missing.
    """
    test = data.test
    places = torch.linspace(0, len(test) - 1, min(half, len(test))).long()
    noise = begin("uniform", range(half), data.image_shape, 0)
    even = torch.tensor(_LEVELS).view(-1, 1, 1, 1).expand(-1, *data.image_shape)
    noise = torch.cat([noise, even])
    answers = {}
    for name, images in {"real": test.read(places), "noise": noise}.items():
        try:
            together = subject.logits(images)
            apart = torch.cat([subject.logits(part) for part in torch.split(images, 5)])
        except Exception:
            continue  # the audit's own parts will meet this error and report it
        answers[name] = torch.stack([together, apart])
    return answers


def _disputed(data: RealData) -> list[Tensor]:
    """The images described at `_DISPUTED`."""
    test = data.test
    first = torch.linspace(0, len(test) - 1, min(2 * _DISPUTED, len(test))).long()
    second = first.roll(len(first) // 2)
    differ = test.labels[first] != test.labels[second]
    first, second = first[differ][:_DISPUTED], second[differ][:_DISPUTED]
    mixed = (test.read(first) + test.read(second)) / 2
    return [begin("squares", range(_DISPUTED), data.image_shape, 0), mixed]


def _choose_alike(one: Tensor, other: Tensor) -> bool:
    """Whether log-probabilities (M, N, K) peak at the same classes, apart from ties."""
    same = (one.argmax(2) == other.argmax(2))[_clear(one, other)]
    return len(same) == 0 or share_of(same) >= _SAME_CHOICE


def _clear(one: Tensor, other: Tensor) -> Tensor:
    """Images (M, N) with no tie for the greatest log-probability (M, N, K): rounding makes ties."""
    highest, second = torch.stack([one, other]).topk(2).values.unbind(3)
    return (highest > second).all(0)


def _of_classes(subject: Subject, answers: Tensor) -> Tensor:
    """Log-probabilities over the data's classes, from logits (M, N, K)."""
    classes = subject.class_outputs(answers.flatten(0, 1))[:, : subject.n_classes]
    return classes.log_softmax(1).view(*answers.shape[:2], -1)


def agree(one: Tensor, other: Tensor, share: float) -> bool:
    """Whether answers (2, N, K) come from one network.

    Their RMS difference may be up to `share` of the answers' standard deviation, plus the
    difference between two calls with the same images.
    """
    if one.shape != other.shape or not torch.equal(one.isfinite(), other.isfinite()):
        return False
    (first, second), (third, fourth) = _comparable(one), _comparable(other)
    by_chance = _rms(torch.stack([first - second, third - fourth]))
    differ = _rms((first + second - third - fourth) / 2)
    spread = (first - first.mean()).square().mean().sqrt()
    least = torch.finfo(torch.float32).eps * first.abs().max()
    return bool(differ <= share * spread + _SAMPLED * by_chance + least)


def _comparable(answers: Tensor) -> Tensor:
    """In float64; non-finite values become 0, low ones are clamped to the floor."""
    answers = answers.double().nan_to_num(0, 0, 0)
    return answers.maximum(answers.amax(2, keepdim=True) + _FLOOR)


def _rms(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()
