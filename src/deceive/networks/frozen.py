"""A copy of a model to run many times."""

import torch
from torch import Tensor, nn

from deceive.common.errors import InputError, warn
from deceive.networks.answers import answer_of, failed, rows_of
from deceive.networks.folding import folded
from deceive.networks.modules import (
    copied,
    device_of,
    in_float32,
    lay_channels_last,
    materialised,
)
from deceive.networks.precision import exactly, working_dtype
from deceive.networks.squashing import Squashing, before_softmax, logs_of, looks_like
from deceive.networks.steadiness import STEADY, manner_of, settled

# How much the fast path may differ from the exact one, as a share of the greatest logit: ten times
# bfloat16's rounding in the shipped networks. How much folding may change its answers, and laying
# weights out in another order.
_COARSE, _FOLDED, _REORDERED = 0.25, 1e-3, 1e-4


class FrozenCopy:
    """An inference-only copy of a model: evaluation mode, frozen, and as fast as possible.

    `logits` works in the processor's quickest type and serves the gradient; `exact_logits` works in
    float32 and serves what is reported. The model itself is never changed. Models in half or double
    precision are copied to float32; of a compiled model, the original is copied. If the model
    returns probabilities and their softmax can be reached, the logits before it are used
    (`before_softmax`).

        >>> import torch
        >>> from deceive import Classifier
        >>> from deceive.networks.frozen import FrozenCopy
        >>> images = torch.rand(5, 1, 28, 28)
        >>> FrozenCopy(Classifier("fast"), images[:1]).exact_logits(images).shape
        torch.Size([5, 10])

    Args:
        model: images (N, C, H, W) in, logits (N, K) out, K ≥ 2.
        example: (1, C, H, W), an image that it takes.
        fold: make batch normalisation part of the layers before it.
        channels_last: on a processor, lay the convolutions' weights out with channels last, which
            makes pooling ten times quicker.

    Attributes:
        device: where the model is, and the copy.
        image_shape: (C, H, W) of the example.
        n_classes: K.
        hears_noise: whether the model takes the noise level as a second input.
        manner: how repeatable its answers are; steady until `watch` finds otherwise.

    Raises:
        InputError: when the model isn't an `nn.Module`, can't be copied, or doesn't turn images
            like `example` (1, C, H, W) into finite logits (N, K) with K ≥ 2.

    Warns:
        UserWarning: when the model returns probabilities, or is lazy and has no weights yet.
    """

    def __init__(
        self, model: nn.Module, example: Tensor, *, fold: bool = True, channels_last: bool = True
    ) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        self.device = device_of(model)
        self.image_shape = tuple(example.shape[1:])
        self.hears_noise = getattr(model, "hears_noise", False)
        self._dtype = working_dtype(self.device)
        self._gives_probabilities = False
        self.manner = STEADY
        pair = example.to(self.device).repeat(2, 1, 1, 1)
        with exactly(self.device):
            try:
                network = materialised(copied(model), pair)
                self._model = self._quick = in_float32(network, pair)
            except InputError:
                raise
            except Exception as error:
                raise failed("model", pair, error) from error
            said = rows_of(answer_of("model", self._model, pair.clone()), len(pair)).clone()
            if (kind := looks_like(said)) is not None and self._reaches_logits(kind, pair):
                said = rows_of(answer_of("model", self._model, pair.clone()), len(pair))
        output = self._checked(said, pair)
        self.n_classes = output.shape[1]
        if channels_last and self.device.type == "cpu":
            self._put_channels_last(pair, output)
        self._choose_the_quick_way(pair, output, fold=fold)

    def _reaches_logits(self, kind: Squashing, pair: Tensor) -> bool:
        """Switch to logits if the model returns probabilities.

        Returns whether its output changes by that.
        """
        reached = before_softmax(self._model, pair)
        if reached is not None and reached.squashing == kind:
            self._model = self._quick = reached
            told = (
                f"the model returns probabilities; the logits before its {kind} are used instead, "
                "and their softmax is the confidence"
            )
        elif kind == "softmax":
            self._gives_probabilities = True
            told = (
                "the model returns probabilities where logits are expected (rows that are ≥ 0 and "
                "sum to 1); their logarithm is used, whose gradient vanishes where float32 rounds "
                "a probability to 0 or 1; return the logits instead"
            )
        else:
            return False
        warn(told)
        return reached is self._model

    def _put_channels_last(self, pair: Tensor, output: Tensor) -> None:
        """Lay weights out with channels last, and undo it if the model fails (`view` does)."""
        before = lay_channels_last(self._model)
        if before and not self._agrees(self._model, pair, output, _REORDERED):
            for weight, data in reversed(before):
                weight.data = data

    def _agrees(self, model: nn.Module, pair: Tensor, output: Tensor, tolerance: float) -> bool:
        """Whether a changed copy of the model still gives the same output, in float32."""
        try:
            with exactly(self.device):
                answer = self._checked(answer_of("model", model, pair.clone()), pair)
        except InputError:
            return False
        return _alike(answer, output, tolerance)

    def _choose_the_quick_way(self, pair: Tensor, output: Tensor, *, fold: bool) -> None:
        """Turn off folding, and then bfloat16, if they change the model's answers."""
        quick = folded(self._model) if fold else None
        # Folding may break models that call layers in another order.
        if quick is not None and self._agrees(quick, pair, output, _FOLDED):
            self._quick = quick
        if self._dtype == torch.float32:
            return
        try:
            with torch.no_grad():
                alike = _alike(self.logits(pair), output, _COARSE)
        except InputError:  # some layers accept only their own type
            alike = False
        if not alike:
            self._dtype = torch.float32

    def watch(self, images: Tensor) -> None:
        """Test on different images (N, C, H, W), N ≥ 2, whether answers are repeatable.

        If not, `logits` and `exact_logits` make them so from now on: `steadiness.settled`. Warns if
        the answers look like a sigmoid per class. (An audit refuses such a model, because it asks
        about real images. Here the answers may be small logits.)
        """
        self.manner = STEADY
        images = images.to(self.device)
        self.manner = manner_of(self.exact_logits, images)
        try:
            outputs = self.exact_logits(images)
        except InputError:
            return  # it need not accept these images
        if looks_like(outputs) == "sigmoid" and outputs.max() > 0.5:
            warn(
                "the model's outputs are in [0, 1] and don't sum to 1, as those of a sigmoid per "
                "class; they are taken for logits, whose softmax is then never sure of any class; "
                "return the logits before the sigmoid"
            )

    @property
    def network(self) -> nn.Module:
        """The copy behind `logits` and `plain_logits`: batch normalisation folded, if it can be."""
        return self._quick

    @property
    def is_exact(self) -> bool:
        """Whether gradients are worked out in float32 too."""
        return self._dtype == torch.float32

    def work_exactly(self) -> None:
        """Work out gradients in float32 too, which is quicker for some models."""
        self._dtype = torch.float32

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Take over the model's weights; nothing else may have changed since it was copied."""
        for mine, its in zip(_state(self._model), _state(model), strict=True):
            mine.copy_(its)
        if self._quick is not self._model:
            self._quick = folded(self._model) or self._model

    def logits(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Logits (N, K) in float32, worked out in the quickest type; differentiable in `images`.

        `noise`, standard deviations (N,), is for networks that hear it.
        """
        told = (noise,) if self.hears_noise and noise is not None else ()

        def ask(images: Tensor, *told: Tensor) -> Tensor:  # a copy, as some models work in place
            return self._checked(answer_of("model", self._quick, images.clone(), *told), images)

        with torch.autocast(self.device.type, self._dtype, self._dtype != torch.float32):
            return settled(ask, self.manner, images, *told)

    def plain_logits(self, images: Tensor, *told: Tensor) -> Tensor:
        """Logits (N, K) in the network's own type, unchecked: what a tracer can follow.

        `told` is the noise (N,), for a network that hears it.
        """
        output: Tensor = self._quick(images, *told)
        return self._as_logits(output)

    def exact_logits(self, images: Tensor) -> Tensor:
        """Logits (N, K), worked out in float32; no gradient."""

        def ask(images: Tensor) -> Tensor:
            return self._checked(answer_of("model", self._model, images.clone()), images).clone()

        with exactly(self.device):
            return settled(ask, self.manner, images)

    def _checked(self, output: object, images: Tensor) -> Tensor:
        rows = rows_of(output, len(images))
        if not rows.isfinite().all():
            raise InputError("model: expected finite logits, got NaN or infinity")
        return self._as_logits(rows)

    def _as_logits(self, output: Tensor) -> Tensor:
        return logs_of(output) if self._gives_probabilities else output


def _alike(one: Tensor, other: Tensor, tolerance: float) -> bool:
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * float(other.abs().max()))


def _state(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
