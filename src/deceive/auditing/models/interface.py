"""How to use a model: the scaling of its pixels, and the meaning of its outputs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from pydantic import TypeAdapter
from torch import Tensor

from deceive.auditing.class_names import check_names
from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.levels import Bounds
from deceive.data.preparation import Preparation, Size

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
"""Where a model runs; auto: on a GPU if there is one."""


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
                for value in values:
                    checks.finite(name, value)
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
    """How to use a model: the pixels it takes, and the outputs to read.

    Values of None are detected. Raises `InputError` for values of another type.

    >>> from deceive import Interface, Scaling
    >>> Interface(Scaling((0, 255)), output="logits").scaling.bounds
    (0.0, 255.0)
    """

    scaling: Scaling | None = None
    """By default the usual scaling that the model reads best with: see `best_read`."""
    output: str | None = None
    """Which of several outputs to read, by name or by number from 0; by default the one with a
    column per class."""
    rubbish_class: int | None = None
    """The output that stands for none of the classes; by default what the model's card says."""
    size: Size | None = None
    """(height, width) that pictures are stretched to; by default what the model declares, else
    their own."""
    resize: int | None = None
    """Length in pixels that the shorter side of a picture is resized to, before `crop`."""
    crop: Size | None = None
    """(height, width) of the middle that is cut out; one number for a square."""
    preprocess: str | Callable[[Tensor], Any] | None = None
    """Instead of a scaling: a function, or where to import it (`module:function`), from images
    (N, C, H, W) in [0, 1] to what the model takes. Gradients pass through it if it uses torch."""
    class_names: tuple[str, ...] | None = None
    """A name for each of the model's outputs, in their order. The data's classes are matched to
    them by name; data whose classes are numbers get these names."""
    device: DeviceName = "auto"
    """Where the model runs."""

    def __post_init__(self) -> None:
        arguments.maybe(arguments.of("a Scaling", Scaling))("scaling", self.scaling)
        arguments.maybe(arguments.name_or_place)("output", self.output)
        arguments.maybe(arguments.whole)("rubbish_class", self.rubbish_class)
        arguments.maybe(arguments.name_or_function)("preprocess", self.preprocess)
        arguments.maybe(arguments.names)("class_names", self.class_names)
        if self.class_names is not None:
            check_names(self.class_names)
            object.__setattr__(self, "class_names", tuple(self.class_names))
        checks.one_of("device", self.device, get_args(DeviceName))
        if self.output is not None:
            object.__setattr__(self, "output", str(self.output))
        if isinstance(self.crop, int):
            object.__setattr__(self, "crop", (self.crop, self.crop))
        for name in ("size", "crop"):
            if (value := getattr(self, name)) is not None:
                arguments.sides(name, value)
                object.__setattr__(self, name, tuple(value))
        Preparation(size=self.size, resize=self.resize, crop=self.crop)  # checks them
        if self.preprocess is not None and self.scaling is not None:
            raise InputError(
                "preprocess: expected no scaling beside it, since it replaces one; drop --bounds, "
                "--mean and --std"
            )


FOUND_OUT = Interface()
"""Nothing is declared, so everything is detected."""


def as_json(declared: Scaling | Interface) -> dict[str, Any]:
    """The fields, as JSON holds them.

    >>> as_json(Scaling((-1, 1)))
    {'bounds': [-1.0, 1.0], 'mean': None, 'std': None}
    """
    if isinstance(declared, Interface) and callable(declared.preprocess):
        declared = replace(declared, preprocess=_name_of(declared.preprocess))
    found: dict[str, Any] = TypeAdapter(type(declared)).dump_python(declared, mode="json")
    return found


def _name_of(function: Callable[[Tensor], Any]) -> str:
    """Where a function may be imported from: module:function."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}:{name}"


def check_channels(scaling: Scaling, channels: int) -> None:
    """Raise `InputError` unless mean and std have one number, or one for each channel."""
    for name, values in (("mean", scaling.mean), ("std", scaling.std)):
        if values is not None and len(values) not in (1, channels):
            raise InputError(
                f"{name}: expected 1 number or {channels}, one per channel, got {len(values)}"
            )
