"""A guarded classifier: what `guard` makes, and `load_guarded` loads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deceive.common import arguments
from deceive.common.checks import floored
from deceive.common.errors import InputError
from deceive.common.files import read_errors
from deceive.common.levels import Shape
from deceive.data.decoding import decoded
from deceive.data.readers.reader import UnreadableError
from deceive.guarding.card import GuardedCard
from deceive.networks.guarded import Guarded
from deceive.networks.inference import batch_for, logits_of

# How far pixels may be beyond [0, 1].
_ROUNDING = 1e-3


class Answers(NamedTuple):
    """What a guarded classifier says about N images.

    >>> import torch
    >>> from deceive.guarding import Answers
    >>> said = Answers(
    ...     classes=torch.tensor([7, 5]),
    ...     confidence=torch.tensor([0.998, 0.2]),
    ...     none_of_these=torch.tensor([0.001, 0.75]),
    ...     passes=torch.tensor([True, False]),
    ... )
    >>> said.classes[said.passes].tolist()
    [7]
    >>> said.in_words("0123456789")
    ['7 (99.8%)', 'none of these (75.0%)']
    """

    classes: Tensor
    """(N,) int64, the likeliest class of each."""
    confidence: Tensor
    """(N,), the probability of that class."""
    none_of_these: Tensor
    """(N,), the probability that the image shows none of the classes."""
    passes: Tensor
    """(N,) bool, whether the confidence reaches the threshold."""

    def in_words(self, class_names: Sequence[str]) -> list[str]:
        """What each image shows: see `in_words`."""
        names = [class_names[each] for each in self.classes.tolist()]
        rest = (self.confidence.tolist(), self.none_of_these.tolist(), self.passes.tolist())
        return [in_words(*each) for each in zip(names, *rest, strict=True)]


def in_words(name: str, confidence: float, none_of_these: float, passes: bool) -> str:
    """What a guarded classifier says about an image: a class if it passes, and else why it doesn't.

    Args:
        name: the likeliest class's.
        confidence: the probability of that class.
        none_of_these: the probability that the image shows none of the classes.
        passes: whether the confidence reaches the threshold.

    >>> in_words("7", 0.4, 0.3, passes=False)
    'not sure enough; at best 7 (40.0%)'
    """
    if passes:
        return f"{name} ({floored(confidence)})"
    if none_of_these > confidence:
        return f"none of these ({floored(none_of_these)})"
    return f"not sure enough; at best {name} ({floored(confidence)})"


class GuardedModel(nn.Module):
    """A classifier behind a guard: images (N, C, H, W) in [0, 1] in, logits (N, K + 1) out.

    The last output is for "none of these".

    >>> from dataclasses import replace
    >>> import torch
    >>> import deceive
    >>> digits = deceive.load_data()
    >>> some = deceive.Split(digits.validation.images[:200], digits.validation.labels[:200])
    >>> less = replace(digits, validation=some)
    >>> _ = deceive.guard("study", less, out="mine", auditing=None, onnx=False)
    >>> model = deceive.load_guarded("mine")
    >>> model.image_shape, model.threshold, model(digits.test.images[:5]).argmax(1)
    ((1, 28, 28), 0.99, tensor([7, 2, 1, 0, 4]))

    Attributes:
        network: the `Guarded` network.
        card: what it is made of, and what it was set to.
    """

    def __init__(self, network: Guarded, card: GuardedCard) -> None:
        super().__init__()
        self.network, self.card = network, card
        self.requires_grad_(False).eval()

    @property
    def class_names(self) -> tuple[str, ...]:
        """A name for each of the K classes."""
        return tuple(self.card.class_names)

    @property
    def image_shape(self) -> Shape:
        """(C, H, W) of the images."""
        return self.network.image_shape

    @property
    def threshold(self) -> float:
        """The confidence at which an image passes."""
        return self.card.set.threshold

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K + 1)."""
        logits: Tensor = self.network(images)
        return logits

    def prepare(self, picture: Tensor | NDArray[Any]) -> Tensor:
        """A picture (C, h, w) of any size as an image (C, H, W); or several (n, C, h, w).

        Args:
            picture: uint8 or floats in [0, 1], with 1 to 4 channels: grey or colour, and alpha.

        Raises `InputError` for anything else.
        """
        expected = "a picture (C, h, w), uint8 or floats in [0, 1]"
        known = isinstance(picture, Tensor | np.ndarray) and picture.ndim in (3, 4)
        if not known or 0 in picture.shape:
            raise arguments.refusal("picture", expected, picture)
        try:
            image = torch.as_tensor(picture)
        except TypeError as error:  # a dtype of NumPy's alone
            raise arguments.refusal("picture", expected, picture) from error
        if image.is_floating_point():
            _check_range("picture", image)
        elif image.dtype != torch.uint8:
            raise arguments.refusal("picture", expected, picture)
        return self.card.preparation(image)

    def read(self, path: Path | str) -> Tensor:
        """A picture in a file, as an image (C, H, W).

        Raises `InputError` when it can't be read.
        """
        with read_errors(Path(path), "a picture"):
            try:
                return self.prepare(decoded(Path(path)))
            except UnreadableError as error:
                raise InputError(f"{path}: expected a picture; {error}") from error

    @arguments.taking(images=arguments.images)
    def answer(self, images: Tensor) -> Answers:
        """What it says about images (N, C, H, W) in [0, 1].

        Raises `InputError` when the images have another shape, or values beyond [0, 1].
        """
        if tuple(images.shape[1:]) != self.image_shape:
            raise InputError(
                f"images: expected shape (N, {', '.join(map(str, self.image_shape))}), got "
                f"{tuple(images.shape)}; prepare gives pictures this shape"
            )
        if len(images):
            _check_range("images", images)
            logits = logits_of(self, images.float(), batch_for(self.image_shape))
        else:
            logits = torch.empty(0, self.network.n_outputs)
        return answers_to(logits, self.threshold)


def _check_range(name: str, images: Tensor) -> None:
    """Raise `InputError` unless the pixels are in [0, 1]."""
    low, high = (each.item() for each in images.float().aminmax())
    if not -_ROUNDING <= low <= high <= 1 + _ROUNDING:
        raise InputError(
            f"{name}: expected values in [0, 1], got {low:g} to {high:g}; if they are levels of 0 "
            "to 255 or normalised, undo that first"
        )


def answers_to(logits: Tensor, threshold: float) -> Answers:
    """What logits (N, K + 1) of a guarded network say."""
    p = logits.softmax(1)
    confidence, classes = p[:, :-1].max(1)
    return Answers(classes, confidence, p[:, -1], confidence >= threshold)
