"""Finds the scaling that a model reads best with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor

from deceive.auditing.models.interface import Scaling
from deceive.auditing.shares import share_of
from deceive.common.errors import InputError
from deceive.common.flags import flag
from deceive.data.dataset import Images, Labelled, RealData, Split, Stack, in_batches
from deceive.data.sampling import Sample
from deceive.judging.measures import NEAR_CHANCE, skill
from deceive.networks.inference import batch_for

SAMPLE = 500
"""Validation images to try every usual scaling on; only close ones are tried on all."""

# Images of a split from which mean and standard deviation are taken, if it isn't in memory.
_MOMENTS = 100

# Two accuracies are close if they differ by at most this many standard errors.
_ERRORS = 2.0

# A model with less skill than this gets a note: its images are probably prepared in another way.
_POOR = 0.5

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Read(NamedTuple):
    """How a model reads N images in a scaling."""

    right: Tensor
    """Which it reads correctly, (N,) bool."""
    loss: Tensor
    """The cross-entropy of each label, (N,)."""


def usual(data: RealData) -> list[Scaling]:
    """The scalings that models are usually trained with, the likeliest first.

    [0, 1], [-1, 1], the data's mean and standard deviation (of all training images, and for each
    channel where there are several), ImageNet's for images of three channels, [-0.5, 0.5],
    [0, 255].
    """
    mean, std = _moments([each for each in (data.train, data.validation) if each is not None])
    found = [Scaling(), Scaling((-1, 1))]
    whole = (mean.mean(), (std.square() + mean.square()).mean() - mean.mean().square())
    if whole[1] > 0:
        found.append(Scaling(mean=(_short(whole[0]),), std=(_short(whole[1].sqrt()),)))
    if len(mean) > 1 and (std > 0).all():
        found.append(Scaling(mean=tuple(map(_short, mean)), std=tuple(map(_short, std))))
    if len(mean) == len(_IMAGENET[0]):
        found.append(Scaling(mean=_IMAGENET[0], std=_IMAGENET[1]))
    return [*found, Scaling((-0.5, 0.5)), Scaling((0, 255))]


def best_read(
    read_in: Callable[[Scaling, Labelled], Read],
    tried: Sequence[Scaling],
    data: RealData,
    *,
    sample: int = SAMPLE,
    thorough: bool = True,
) -> tuple[Scaling, list[str]]:
    """The scaling with which a model reads most validation images, and notes about it.

    Tries each scaling on a sample, and those within chance of the best on all images. Of these the
    one with the least mean cross-entropy wins, as a network was trained to make that small: many
    read as many images at another scale, but with the wrong confidence. Ties go to the first. The
    others are named. If the model reads few images in every scaling, a note says so; if none beats
    guessing, the result is [0, 1].

    Args:
        read_in: returns how the model reads a split in a scaling. It may raise `InputError`: a
            model may not accept every scaling.
        tried: the scalings, the likeliest first, as `usual` gives them.
        data: the real images.
        sample: how many validation images to try each on.
        thorough: whether to try those close to the best on all validation images.

    Raises:
        InputError: the first of those errors, when the model accepts no scaling.
    """
    validation, errors = data.validation, []
    first = Split(validation.read(slice(sample)), validation.labels[:sample])
    read: dict[Scaling, Read] = {}
    for scaling in tried:
        try:
            read[scaling] = read_in(scaling, first)
        except InputError as error:
            errors.append(error)
    if not read:
        raise errors[0]
    close = _close(read)
    stands_plain = Scaling() in read
    if thorough and len(close) > 1 and len(validation) > len(first):
        read = {scaling: read_in(scaling, validation) for scaling in close}
        close = _close(read)
    best = close[0]
    skilled = skill(share_of(read[best].right), data.n_classes)
    if skilled < NEAR_CHANCE and stands_plain:
        return Scaling(), []
    said = _said(best, close[1:], read)
    if skilled < _POOR:
        said += _doubt(share_of(read[best].right), [each for each in tried if each not in close])
    return best, said


def _close(read: Mapping[Scaling, Read]) -> list[Scaling]:
    """The scalings within chance of reading most images, the best first.

    Without a misread image the loss says nothing: it falls with the scale of the logits.
    """
    most = max((each.right for each in read.values()), key=lambda right: int(right.sum()))
    close = []
    for scaling, (right, _) in read.items():
        behind = int(most.sum()) - int(right.sum())
        apart = int((most != right).sum())  # the variance if each of these were chance
        if behind <= _ERRORS * apart**0.5:
            close.append(scaling)
    if most.all():
        return sorted(close, key=lambda scaling: -int(read[scaling].right.sum()))
    return sorted(close, key=lambda scaling: read[scaling].loss.mean().nan_to_num(torch.inf).item())


def _said(best: Scaling, close: list[Scaling], read: Mapping[Scaling, Read]) -> list[str]:
    if best == Scaling() and not close:
        return []
    count = len(read[best].right)
    said = (
        f"It reads best with {best} ({share_of(read[best].right):.2%} of {count:,} validation "
        "images), so that is the scaling used."
    )
    if close:
        others = "; ".join(f"{_flags(each)} ({share_of(read[each].right):.2%})" for each in close)
        one = "one of these" if len(close) > 1 else "that"
        said += f" It reads about as many with {others}. If it was trained with {one}, set it."
    return [said]


def _doubt(accuracy: float, others: Sequence[Scaling]) -> list[str]:
    """The note that it reads few; `others` are the scalings that no other note names."""
    said = (
        f"It reads only {accuracy:.2%} of the validation images. If it normally reads more, it was "
        "trained on images that are prepared in another way: set their size (--size, or --resize "
        "and --crop), their scaling (--bounds, or --mean and --std), or your own --preprocess "
        "module:function."
    )
    return [f"{said} Also tried: {'; '.join(map(_flags, others))}." if others else said]


def _flags(scaling: Scaling) -> str:
    """The flags that set it: --bounds -1 1."""
    fields = {"bounds": scaling.bounds, "mean": scaling.mean, "std": scaling.std}
    if scaling.mean is not None and scaling.bounds == (0, 1):
        del fields["bounds"]
    return " ".join(chain.from_iterable(flag(k, v) for k, v in fields.items() if v is not None))


def _moments(splits: Iterable[Labelled]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C,) float64 of the pixels of each channel.

    Of images that aren't in memory, of a few, evenly spread.
    """
    pixels, total, squares = 0, torch.zeros(()), torch.zeros(())
    parts = (in_batches(_few(each), batch_for(each.image_shape, 5000)) for each in splits)
    for part in chain.from_iterable(parts):
        pixels += part[:, 0].numel()
        total = total + part.sum((0, 2, 3), dtype=torch.float64)
        squares = squares + part.square().sum((0, 2, 3), dtype=torch.float64)
    mean = total / pixels
    return mean, (squares / pixels - mean.square()).clamp_min(0).sqrt()


def _few(split: Labelled) -> Images:
    if isinstance(split, Stack) or len(split) <= _MOMENTS:
        return split
    return Sample(split, torch.linspace(0, len(split) - 1, _MOMENTS).long())


def _short(value: Tensor) -> float:
    """Rounded to the usual number of digits."""
    return round(value.item(), 4)
