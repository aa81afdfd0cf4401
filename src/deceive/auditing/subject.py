"""What is audited: any model, made one of images in [0, 1] in and logits out.

From here on there are only such models: bounds, normalisation and probabilities are dealt with
once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deceive import checks
from deceive.auditing.formats import Function, Loaded
from deceive.data import Dataset, Split
from deceive.errors import InputError
from deceive.fooling import Bounds
from deceive.inference import BATCH, logits_of
from deceive.starts import Shape

# A logit has to be finite, so that no probability counts for less than this.
_LEAST = 1e-38

# Another scaling than [0, 1] is taken for the right one when it reads so much more.
_CLEARLY = 0.05


@dataclass(frozen=True)
class Scaling:
    """What a model wants done to pixels in [0, 1]: stretched to its bounds, then normalised."""

    bounds: Bounds = (0.0, 1.0)
    mean: tuple[float, ...] | None = None
    """One for all channels, or one each."""
    std: tuple[float, ...] | None = None

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
        return f"{words}, less the mean {mean}, divided by {std}"


class Adapted(nn.Module):
    """A model with its scaling before it, and the logarithm of its probabilities after it."""

    def __init__(self, model: nn.Module, scaling: Scaling, gives_probabilities: bool) -> None:
        super().__init__()
        self.model, self._scaling, self._log = model, scaling, gives_probabilities

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]."""
        output: Tensor = self.model(self._scaling(images))
        return _log(output) if self._log else output


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that has met the data: images (N, C, H, W) in [0, 1] in, logits (N, K) out."""

    loaded: Loaded
    scaling: Scaling
    image_shape: Shape
    n_classes: int
    """The data's classes are the model's first outputs."""
    n_outputs: int
    rubbish_class: int | None
    gives_probabilities: bool
    module: nn.Module | None
    """Differentiable; None for a black box."""
    notes: tuple[str, ...]
    """What was found out on the way, in sentences."""
    warnings: tuple[str, ...]
    """Why figures may not mean what they say, in sentences."""
    _answer: Callable[[Tensor], Tensor]

    @property
    def name(self) -> str:
        """A short name to show."""
        return self.loaded.name

    def logits(self, images: Tensor) -> Tensor:
        """Logits (N, K) float32, on the CPU, worked out in float32; they may be NaN."""
        return torch.cat([self._answer(part) for part in torch.split(images, BATCH)])

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of images (N, C, H, W) that it reads as their labels (N,), rubbish left out."""
        right: Tensor = self.class_outputs(self.logits(images)).argmax(1) == labels
        return right.double().mean().item()

    def class_outputs(self, values: Tensor) -> Tensor:
        """Of outputs (N, K) those that stand for a class: all but the rubbish class."""
        if self.rubbish_class is None:
            return values
        return torch.cat(
            [values[:, : self.rubbish_class], values[:, self.rubbish_class + 1 :]], dim=1
        )


def meet(
    loaded: Loaded,
    data: Dataset,
    *,
    bounds: Bounds | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    rubbish_class: int | None = None,
) -> Subject:
    """Show a model its data for the first time, and find out how it wants its images.

    Args:
        loaded: the model.
        data: its labels are the model's first outputs.
        bounds: what black and white are to the model. When neither this nor `mean` is given, and
            it isn't our own: [0, 1], unless it reads clearly more of 500 validation images in
            [0, 255], in [-1, 1] or normalised by the data's mean and standard deviation.
        mean: subtracted from pixels within the bounds; one number, or one a channel.
        std: divides them then.
        rubbish_class: the output that stands for none of the classes; a card says it too.

    Raises:
        InputError: when the model does not turn images of the data's shape into outputs (N, K)
            with K at least the number of classes, or what is declared does not fit.
    """
    declared = _declared(bounds, mean, std, data.image_shape[0])
    sample = Split(data.validation.images[:500], data.validation.labels[:500])
    notes = []
    if declared is None:
        scaling = Scaling() if loaded.format == "safetensors" else _found(loaded, data, sample)
        if scaling != Scaling():
            notes.append(f"It reads best with {scaling}: it is shown its images that way.")
    else:
        scaling = declared
    outputs = _outputs_of(loaded, scaling(sample.images[:32]))
    n_outputs = outputs.shape[1]
    if n_outputs < data.n_classes:
        raise InputError(
            f"model: expected at least {data.n_classes} outputs, one for each of the data's "
            f"classes, got {n_outputs}"
        )
    rubbish = loaded.rubbish_class if rubbish_class is None else rubbish_class
    if rubbish is not None and not data.n_classes <= rubbish < n_outputs:
        raise InputError(
            f"rubbish_class: expected an output after the data's {data.n_classes} classes and "
            f"below {n_outputs}, got {rubbish}"
        )
    if rubbish is None and n_outputs == data.n_classes + 1:
        notes.append(
            f"It has one output more than the data has classes. If that stands for rubbish, say "
            f"so: --rubbish-class {data.n_classes}."
        )
    probabilities = bool((outputs >= 0).all() and ((outputs.sum(1) - 1).abs() < 1e-3).all())
    if probabilities:
        notes.append(
            "It answers with probabilities; their logarithm is taken for the logits, and energy "
            "and the greatest logit are left out, since they say nothing then."
        )
    module = None
    if isinstance(loaded.model, nn.Module):
        plain = scaling == Scaling() and not probabilities
        module = loaded.model if plain else Adapted(loaded.model, scaling, probabilities)
    return Subject(
        loaded=loaded,
        scaling=scaling,
        image_shape=data.image_shape,
        n_classes=data.n_classes,
        n_outputs=n_outputs,
        rubbish_class=rubbish,
        gives_probabilities=probabilities,
        module=module,
        notes=tuple(notes),
        warnings=(),
        _answer=_answering(loaded, scaling, probabilities),
    )


def _declared(
    bounds: Bounds | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    channels: int,
) -> Scaling | None:
    """What the user said of the scaling, checked; None when they said nothing."""
    if bounds is None and mean is None and std is None:
        return None
    low, high = bounds or (0.0, 1.0)
    if not low < high:
        raise InputError(f"bounds: expected (low, high) with low < high, got ({low:g}, {high:g})")
    if (mean is None) != (std is None):
        raise InputError("mean, std: expected both of them or neither, got one alone")
    if mean is None or std is None:
        return Scaling((float(low), float(high)))
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise InputError(
                f"{name}: expected 1 number or {channels}, one a channel, got {len(values)}"
            )
    for value in std:
        checks.open_interval("std", value, 0, float("inf"))
    return Scaling((float(low), float(high)), tuple(mean), tuple(std))


def _found(loaded: Loaded, data: Dataset, sample: Split) -> Scaling:
    """The usual scaling under which the model reads the sample best; [0, 1] unless clearly so."""
    pixels = data.validation.images
    deviation = float(pixels.std())
    usual = [Scaling(), Scaling((-1, 1)), Scaling((0, 255))]
    if deviation > 0:
        mean, std = round(float(pixels.mean()), 4), round(deviation, 4)
        usual.insert(2, Scaling(mean=(mean,), std=(std,)))

    shares, errors = [], []
    for scaling in usual:
        try:
            answers = _outputs_of(loaded, scaling(sample.images)).argmax(1)
            shares.append((answers == sample.labels).double().mean().item())
        except InputError as error:  # it need not stand pixels that it isn't made for
            errors.append(error)
            shares.append(0.0)
    if len(errors) == len(usual):
        raise errors[0]
    best = max(range(len(usual)), key=shares.__getitem__)
    return usual[best] if shares[best] > shares[0] + _CLEARLY else usual[0]


def _outputs_of(loaded: Loaded, images: Tensor) -> Tensor:
    """The model's own outputs (N, K), checked. Raises `InputError` where they are none."""
    try:
        if isinstance(loaded.model, nn.Module):
            return logits_of(loaded.model, images)
        return _rows(loaded.model(images.clone()), len(images))  # some work in place
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"model: expected one that takes images of shape {tuple(images.shape)}; it says: "
            f"{error!r}"
        ) from error


def _rows(output: Any, count: int) -> Tensor:
    rows = output if isinstance(output, Tensor) else torch.as_tensor(output)
    if rows.ndim != 2 or len(rows) != count or rows.shape[1] < 2:
        raise InputError(
            f"model: expected outputs of shape ({count}, K) with K ≥ 2, got {tuple(rows.shape)}"
        )
    # Copied, since some give the same tensor each time.
    return rows.detach().to("cpu", torch.float32, copy=True)


def _answering(loaded: Loaded, scaling: Scaling, probabilities: bool) -> Callable[[Tensor], Tensor]:
    """A function from images in [0, 1] to logits."""

    def ask(images: Tensor) -> Tensor:
        scaled = scaling(images)
        if isinstance(loaded.model, nn.Module):
            output = logits_of(loaded.model, scaled)
        else:
            function: Function = loaded.model
            output = _rows(function(scaled.clone()), len(images))  # some work in place
        return _log(output) if probabilities else output

    return ask


def _log(probabilities: Tensor) -> Tensor:
    return probabilities.float().clamp_min(_LEAST).log()
