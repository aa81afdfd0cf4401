"""Models that end in a softmax or sigmoid: find it, and leave it out."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from deceive.networks.inference import evaluating
from deceive.networks.modules import device_of
from deceive.networks.precision import exactly

# How far rounding may move the sum of probabilities from 1.
_ROUNDING = 1e-3

# Logits have to be finite, so a smaller probability counts as this one.
_LEAST = 1e-38

Squashing = Literal["softmax", "log-softmax", "logarithm of a softmax", "sigmoid"]
"""The last operation of some models. A log-softmax is exact; the logarithm of a softmax loses small
probabilities."""


class BeforeSoftmax(nn.Module):
    """A model that returns the logits before its softmax (`before_softmax`)."""

    def __init__(self, model: nn.Module, squashing: Squashing, place: int) -> None:
        super().__init__()
        self.model, self.squashing, self._place = model, squashing, place

    def forward(self, images: Tensor, *told: Tensor) -> Tensor:
        """Logits of images (N, C, H, W), in the shape of the model's output."""
        return self.both(images, *told)[1]

    def both(self, images: Tensor, *told: Tensor) -> tuple[Tensor, Tensor]:
        """What the model gives for images (N, C, H, W), and the logits before it."""
        with _Noting() as noted:
            output: Tensor = self.model(images, *told)
        return output, noted.calls[self._place].logits.reshape(output.shape)


def before_softmax(model: nn.Module, example: Tensor) -> BeforeSoftmax | None:
    """The model without the softmax, log-softmax or sigmoid that its output comes from.

    It may be a module or a function anywhere in the model: torch's calls are recorded during a
    forward pass to find the one that produces the output. TorchScript and exported programs can't
    be recorded.

    Args:
        model: in evaluation mode and float32; the result wraps it.
        example: images (N, C, H, W) in the model's scaling.

    Returns:
        A module that returns the logits, in the shape of the model's output, with the operation
        left out in `squashing`; None if there is no such call.
    """
    device = device_of(model)

    def ask(place: int | None = None) -> tuple[object, list[_Call]]:
        with _Noting(place) as noted:
            return model(example.to(device, copy=True)), noted.calls  # may work in place

    with evaluating(model), exactly(device):
        output, calls = ask()
        for place, call in reversed([*enumerate(calls)]):
            if not _identical(call.output, output) or call.logits.shape != call.output.shape:
                continue
            told, again = ask(place)  # a mean of several looks the same if all are certain
            if len(again) == len(calls) and _identical(again[place].output, told):
                return BeforeSoftmax(model, call.squashing, place - len(calls))
    return None


class _Call(NamedTuple):
    squashing: Squashing
    output: Tensor
    logits: Tensor


class _Noting(TorchFunctionMode):
    """Records every softmax, log-softmax and sigmoid computed within the block.

    The result of one of them (by number, from 0) can be replaced by an unsure one, to see whether
    it reaches the output.
    """

    def __init__(self, replaced: int | None = None) -> None:
        super().__init__()
        self.calls: list[_Call] = []
        self._replaced = replaced

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        given: Any = args[0] if args else (kwargs or {}).get("input")
        if func in _SQUASHES:
            squashing, logits_of_given = _SQUASHES[func]
            return self._noted(_Call(squashing, output, logits_of_given(given)))
        if func in (torch.log, Tensor.log):
            for call in self.calls:
                if call.output is given and call.squashing == "softmax":
                    return self._noted(_Call("logarithm of a softmax", output, call.logits))
        return output

    def _noted(self, call: _Call) -> Tensor:
        if len(self.calls) == self._replaced:
            call = call._replace(output=_unsure(call))
        self.calls.append(call)
        return call.output


def _unsure(call: _Call) -> Tensor:
    """The call's result for small, distinct logits."""
    logits = torch.linspace(0, 1, call.output.numel(), device=call.output.device)
    logits = logits.view(call.output.shape)
    if call.squashing == "sigmoid":
        return logits.sigmoid().to(call.output.dtype)
    shares = logits.softmax(-1)
    return (shares if call.squashing == "softmax" else shares.log()).to(call.output.dtype)


def _itself(logits: Tensor) -> Tensor:
    return logits


_SQUASHES: dict[Any, tuple[Squashing, Callable[[Tensor], Tensor]]] = {
    torch.softmax: ("softmax", _itself),
    torch.special.softmax: ("softmax", _itself),
    Tensor.softmax: ("softmax", _itself),
    F.softmax: ("softmax", _itself),
    F.softmin: ("softmax", torch.neg),
    torch.log_softmax: ("log-softmax", _itself),
    torch.special.log_softmax: ("log-softmax", _itself),
    Tensor.log_softmax: ("log-softmax", _itself),
    F.log_softmax: ("log-softmax", _itself),
    torch.sigmoid: ("sigmoid", _itself),
    torch.special.expit: ("sigmoid", _itself),
    Tensor.sigmoid: ("sigmoid", _itself),
    F.sigmoid: ("sigmoid", _itself),
}


def looks_like(output: Tensor) -> Squashing | None:
    """The operation that may have turned logits into this output (N, K)."""
    if not output.isfinite().all() or (output <= 0).all():
        return "logarithm of a softmax"
    if (output < 0).any():
        return None
    if are_probabilities(output):
        return "softmax"
    return "sigmoid" if (output <= 1).all() else None


def are_probabilities(output: Tensor) -> bool:
    """Whether rows of scores (N, K) are ≥ 0 and sum to 1, except for rounding.

    >>> import torch
    >>> from deceive.networks.squashing import are_probabilities
    >>> are_probabilities(torch.tensor([[0.9, 0.1], [0.2, 0.8]]))
    True
    """
    sums = (output.sum(1) - 1).abs() < _ROUNDING
    return bool((output >= 0).all() and sums.all())


def logs_of(probabilities: Tensor) -> Tensor:
    """Logits (N, K), float32, for probabilities (N, K); finite even for a probability of 0."""
    return probabilities.float().clamp_min(_LEAST).log()


def _identical(one: Tensor, other: object) -> bool:
    """Whether they hold the same values for each image, in whatever shape."""
    return one is other or (
        isinstance(other, Tensor)
        and one.numel() == other.numel()
        and one.shape[:1] == other.shape[:1]
        and bool((one.flatten() == other.flatten()).all())
    )
