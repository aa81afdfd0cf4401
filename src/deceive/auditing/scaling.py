"""How a model wants its pixels: as declared, or else in the scaling it reads best with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import Tensor

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.levels import Bounds
from deceive.data.loading import Dataset, Split
from deceive.judging.measures import NEAR_CHANCE, skill

# Validation images to try every usual scaling on; only close ones are tried on all.
_SAMPLE = 500

# Two accuracies are close if they differ by at most this many standard errors.
_ERRORS = 2.0

# A model with less skill than this gets a note: its images are probably prepared in another way.
_POOR = 0.5

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Scaling:
    """How to prepare pixels in [0, 1] for a model: stretch them to its bounds, then normalise.

    Raises `InputError` for bounds in the wrong order, one of mean and std without the other, or a
    standard deviation that isn't above 0.

    >>> import torch
    >>> from deceive import Scaling
    >>> Scaling(mean=(0.5,), std=(0.25,))(torch.ones(1, 1, 1, 2))
    tensor([[[[2., 2.]]]])
    """

    bounds: Bounds = (0.0, 1.0)
    """The model's values of black and white."""
    mean: tuple[float, ...] | None = None
    """Subtracted from pixels within the bounds: one number, or one per channel."""
    std: tuple[float, ...] | None = None
    """Divides the result: one number, or one per channel."""

    def __post_init__(self) -> None:
        arguments.two("bounds", self.bounds)
        if not self.bounds[0] < self.bounds[1]:
            low, high = self.bounds
            raise InputError(
                f"bounds: expected (low, high) with low < high, got ({low:g}, {high:g})"
            )
        if (self.mean is None) != (self.std is None):
            there, other = ("std", "mean") if self.mean is None else ("mean", "std")
            raise InputError(f"{other}: expected numbers to go with {there}, got none")
        for name in ("bounds", "mean", "std"):
            values = getattr(self, name)
            if values is not None:
                arguments.numbers(name, values)
                object.__setattr__(self, name, tuple(map(float, values)))
        for value in self.std or ():
            checks.open_interval("std", value, 0, float("inf"))

    def __call__(self, images: Tensor) -> Tensor:
        """The images (N, C, H, W) as the model reads them."""
        low, high = self.bounds
        if (low, high) != (0, 1):
            images = images * (high - low) + low
        if self.mean is None or self.std is None:
            return images
        mean, std = images.new_tensor(self.mean), images.new_tensor(self.std)
        return (images - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)

    def __str__(self) -> str:
        """In words: pixels from 0 to 255."""
        words = "pixels from {:g} to {:g}".format(*self.bounds)
        if self.mean is None or self.std is None:
            return words
        mean, std = (", ".join(f"{v:g}" for v in values) for values in (self.mean, self.std))
        return f"{words}, normalised by mean {mean} and std {std}"


@dataclass(frozen=True)
class Interface:
    """How to use a model: the pixels it takes, and the outputs to read. None is found out."""

    scaling: Scaling | None = None
    """By default the usual scaling that the model reads best with: see `best_read`."""
    output: str | None = None
    """Of several outputs the one to read, by name or by number from 0; by default the one with a
    column per class."""
    rubbish_class: int | None = None
    """The output that stands for none of the classes; by default what the model's card says."""

    def __post_init__(self) -> None:
        arguments.maybe(arguments.of("a Scaling", Scaling))("scaling", self.scaling)
        arguments.maybe(arguments.name_or_place)("output", self.output)
        arguments.maybe(arguments.whole)("rubbish_class", self.rubbish_class)
        if self.output is not None:
            object.__setattr__(self, "output", str(self.output))


FOUND_OUT = Interface()
"""Nothing is declared, and everything found out."""


def as_json(declared: Scaling | Interface) -> dict[str, Any]:
    """The fields, as JSON holds them.

    >>> as_json(Scaling((-1, 1)))
    {'bounds': [-1.0, 1.0], 'mean': None, 'std': None}
    """
    found: dict[str, Any] = TypeAdapter(type(declared)).dump_python(declared, mode="json")
    return found


def check_channels(scaling: Scaling, channels: int) -> None:
    """Raise `InputError` unless mean and std have one number, or one for each channel."""
    for name, values in (("mean", scaling.mean), ("std", scaling.std)):
        if values is not None and len(values) not in (1, channels):
            raise InputError(
                f"{name}: expected 1 number or {channels}, one per channel, got {len(values)}"
            )


def usual(data: Dataset) -> list[Scaling]:
    """The scalings that models are usually trained with, the likeliest first.

    [0, 1], [-1, 1], the data's mean and standard deviation (of all training images, and for each
    channel where there are several), ImageNet's for images of three channels, [-0.5, 0.5],
    [0, 255].
    """
    mean, std = _moments([data.train, data.validation])
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
    right: Callable[[Scaling, Split], Tensor], tried: Sequence[Scaling], data: Dataset
) -> tuple[Scaling, list[str]]:
    """The scaling under which a model reads most validation images, and what to say of it.

    Tries each scaling on 500 images, and those close to the best on all of them. The best wins by
    any margin; ties go to the first. Others within chance of it are named. If the model reads few
    images in every scaling, a note says so; if none beats guessing, the result is [0, 1].

    Args:
        right: which images of a split the model reads correctly in a scaling, (N,) bool. It may
            raise `InputError`: a model need not accept every scaling.
        tried: the scalings, the likeliest first, as `usual` gives them.
        data: the real images.

    Raises:
        InputError: the first of those errors, when the model accepts no scaling.
    """
    validation, errors = data.validation, []
    sample = Split(validation.images[:_SAMPLE], validation.labels[:_SAMPLE])
    read: dict[Scaling, Tensor] = {}
    for scaling in tried:
        try:
            read[scaling] = right(scaling, sample)
        except InputError as error:
            errors.append(error)
    if not read:
        raise errors[0]
    close = _close(read)
    stands_plain = Scaling() in read
    if len(close) > 1 and len(validation) > len(sample):
        read = {scaling: right(scaling, validation) for scaling in close}
        close = _close(read)
    best = close[0]
    skilled = skill(_share(read[best]), data.n_classes)
    if skilled < NEAR_CHANCE and stands_plain:
        return Scaling(), []
    said = _said(best, close[1:], read)
    return best, [*said, *_doubt(_share(read[best]), tried)] if skilled < _POOR else said


def _close(read: Mapping[Scaling, Tensor]) -> list[Scaling]:
    """The best scaling first, then those within chance of it."""
    best = max(read, key=lambda scaling: int(read[scaling].sum()))
    others = []
    for scaling, right in read.items():
        behind = int(read[best].sum()) - int(right.sum())
        apart = int((read[best] != right).sum())  # the variance if each of these were chance
        if scaling != best and behind <= _ERRORS * apart**0.5:
            others.append(scaling)
    return [best, *others]


def _said(best: Scaling, close: list[Scaling], read: Mapping[Scaling, Tensor]) -> list[str]:
    if best == Scaling() and not close:
        return []
    count = len(read[best])
    said = (
        f"It reads best with {best} ({_share(read[best]):.2%} of {count:,} validation images), "
        "so that is the scaling used."
    )
    if close:
        others = "; with ".join(f"{each} ({_share(read[each]):.2%})" for each in close)
        said += (
            f" Too close to tell apart: with {others}. If the model was trained with one of these, "
            "set it: --bounds, or --mean and --std."
        )
    return [said]


def _doubt(accuracy: float, tried: Sequence[Scaling]) -> list[str]:
    return [
        f"It reads only {accuracy:.2%} of the validation images. If it normally reads more, it was "
        "trained on images that are prepared in another way: set --bounds, or --mean and --std, or "
        f"wrap it in a model that prepares them. Tried: {'; '.join(map(str, tried))}."
    ]


def _share(right: Tensor) -> float:
    return right.double().mean().item()


def _moments(splits: Iterable[Split]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (C,) float64 of the pixels of each channel."""
    parts = [part for split in splits for part in torch.split(split.images, 5000)]
    pixels = sum(part[:, 0].numel() for part in parts)
    total = torch.stack([part.sum((0, 2, 3), dtype=torch.float64) for part in parts]).sum(0)
    squares = torch.stack([part.square().sum((0, 2, 3), dtype=torch.float64) for part in parts])
    mean = total / pixels
    return mean, (squares.sum(0) / pixels - mean.square()).clamp_min(0).sqrt()


def _short(value: Tensor) -> float:
    """Rounded to the usual number of digits."""
    return round(value.item(), 4)
