"""Asking a network: in evaluation mode, in float32, in batches, and leaving it as it was."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.nn.utils.parametrize import is_parametrized
from torch.overrides import TorchFunctionMode

from deceive.common import arguments
from deceive.common.errors import InputError, warn
from deceive.networks.modules import copied, float_type, in_float32, materialised, original
from deceive.networks.steadiness import STEADY, manner_of, settled

BATCH = 500

# How much the fast path may differ from the exact one, as a share of the greatest logit: ten times
# bfloat16's rounding in the shipped networks.
_COARSE = 0.25

# Backends that may silently lower float32 precision.
_backends: Any = torch.backends
_MATRIX_UNITS = (
    _backends.cuda.matmul,
    *(_backends.cudnn.conv, _backends.cudnn.rnn),
    *(_backends.mkldnn.matmul, _backends.mkldnn.conv, _backends.mkldnn.rnn),
)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put `model` into evaluation mode, and each of its modules back as it was on the way out."""
    # Frozen TorchScript modules have no training mode.
    was_training = [module for module in model.modules() if getattr(module, "training", False)]
    model.eval()
    try:
        yield model
    finally:
        for module in was_training:
            module.training = True


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Within the block work on `device` is done in float32 and keeps no gradient.

    Neither autocast nor a matrix unit's own type (TF32, bfloat16) takes its place, whatever the
    caller has allowed: on a GPU convolutions are in TF32 otherwise, which has 10 bits of 23.
    """
    allowed = [unit.fp32_precision for unit in _MATRIX_UNITS]
    try:
        for unit in _MATRIX_UNITS:
            unit.fp32_precision = "ieee"
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for unit, precision in zip(_MATRIX_UNITS, allowed, strict=True):
            unit.fp32_precision = precision


def confidence_of(logits: Tensor, targets: Tensor) -> Tensor:
    """The softmax probability (N,) of each target (N,), from logits (N, K).

    >>> confidence_of(torch.tensor([[0.0, 0.0], [0.0, -200.0]]), torch.tensor([1, 0])).tolist()
    [0.5, 1.0]
    """
    return logits.softmax(1).gather(1, targets[:, None]).squeeze(1)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters (or buffers, or else nothing: the CPU) live."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def logits_of(model: nn.Module, images: Tensor, batch: int = BATCH) -> Tensor:
    """Logits (N, K), float32, on the CPU, for images (N, C, H, W); no gradient.

    Input and output are copied: some models work in place, some reuse one output tensor. A model in
    half or double precision gets its images in that type.
    """
    device, own, model = device_of(model), float_type(model), original(model)
    own = images.dtype if own == torch.float32 else own
    with evaluating(model), exactly(device):
        answers = (model(part.to(device, own, copy=True)) for part in torch.split(images, batch))
        return torch.cat([each.to("cpu", torch.float32, copy=True) for each in answers])


def answers_of(name: str, model: nn.Module, images: Tensor) -> Tensor:
    """`logits_of`, with an `InputError` that names the argument if the model fails on the images.

    The same error if it doesn't return a row of scores per image.
    """
    try:
        answers = logits_of(model, images)
    except InputError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise InputError(
            f"{name}: expected a model that takes images of shape {tuple(images.shape)}; "
            f"it raised {error!r}"
        ) from error
    if answers.ndim != 2 or len(answers) != len(images):
        raise InputError(
            f"{name}: expected a model that gives a row of scores per image, ({len(images)}, K), "
            f"got an output of shape {tuple(answers.shape)}"
        )
    return answers


def probabilities_of(model: nn.Module, images: Tensor, batch: int = BATCH) -> Tensor:
    """Softmax at temperature 1 over all outputs: (N, K), float32, on the CPU."""
    return logits_of(model, images, batch).softmax(1)


@arguments.taking(model=arguments.module, images=arguments.images, labels=arguments.labels)
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images (N, C, H, W) whose greatest logit is that of their label (N,), in [0, 1]."""
    arguments.as_many("labels", labels, len(images), "images")
    right: Tensor = answers_of("model", model, images).argmax(1) == labels.cpu()
    return right.double().mean().item()


def has_gradient(model: nn.Module, images: Tensor) -> bool:
    """Whether the outputs have a gradient in the images (N, C, H, W), even if it is 0."""
    images = images.to(device_of(model), float_type(model), copy=True).requires_grad_(True)
    with evaluating(model), torch.enable_grad():
        output = model(images.clone())
        if not output.requires_grad:
            return False
        try:
            (gradient,) = torch.autograd.grad(output.sum(), images, allow_unused=True)
        except RuntimeError:  # some torch operators have no gradient
            return False
    return gradient is not None


def working_dtype(device: torch.device) -> torch.dtype:
    """The type for work that is not reported: bfloat16 where the processor has it, else float32.

    Read off the instruction set, not timed, so that a machine answers the same every time.
    `DECEIVE_PRECISION` (float32 or bfloat16) decides instead when it is set; a value that is
    neither raises `InputError`.
    """
    choices = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    asked = os.environ.get("DECEIVE_PRECISION")
    if asked is not None:
        if asked not in choices:
            raise InputError(f"DECEIVE_PRECISION: expected float32 or bfloat16, got {asked!r}")
        return choices[asked]
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        has_bfloat16 = device.type == "cpu" and (
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return torch.bfloat16 if has_bfloat16 else torch.float32


class FrozenCopy:
    """An inference-only copy of a model: evaluation mode, frozen, and as fast as possible.

    `logits` works in the type that the processor is quickest at, and serves the gradient;
    `exact_logits` works in float32, and serves whatever is reported. The model itself is never
    touched, whatever happens meanwhile. With `fold`, batch normalisation is made part of the layers
    before it. Models in half or double precision are copied to float32; of a compiled model, the
    original is copied. If the model returns probabilities and their softmax can be reached, the
    logits before it are used (`before_softmax`).

    Raises:
        InputError: when the model isn't an `nn.Module`, can't be copied, or doesn't turn images
            like `example` (1, C, H, W) into finite logits (N, K) with K ≥ 2.

    Warns:
        UserWarning: when the model returns probabilities, or is lazy and has no weights yet, or its
            outputs look like a sigmoid per class.
    """

    def __init__(self, model: nn.Module, example: Tensor, *, fold: bool = True) -> None:
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
                raise self._refused(pair, error) from error
            said = self._rows(self._ask(self._model, pair), pair).clone()
            if (kind := _looks_like(said)) is not None and self._reaches_logits(kind, said, pair):
                said = self._rows(self._ask(self._model, pair), pair)
        output = self._checked(said, pair)
        self.n_classes = output.shape[1]
        self._choose_the_quick_way(pair, output, fold=fold)

    def _reaches_logits(self, kind: "Squashing", output: Tensor, pair: Tensor) -> bool:
        """Switch to logits if the model returns probabilities; warn of a sigmoid out of reach.

        That is no error as in an audit, which sees real images: here they may be small logits.

        Returns whether the model's output changes.
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
        elif kind == "sigmoid" and output.max() > 0.5:
            told = (
                "the model's outputs are in [0, 1] and don't sum to 1, as of a sigmoid per class; "
                "they are taken for logits, whose softmax is then never sure of any class; return "
                "the logits before the sigmoid"
            )
        else:
            return False
        warn(told)
        return reached is self._model

    def _choose_the_quick_way(self, pair: Tensor, output: Tensor, *, fold: bool) -> None:
        """Turn off folding, and then bfloat16, if they change the model's answers."""
        folded = _folded(self._model) if fold else None
        if folded is not None:  # folding may break models that call layers in another order
            with exactly(self.device):
                answer = self._checked(self._ask(folded, pair), pair)
            self._quick = folded if _alike(answer, output, 1e-3) else self._model
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

        If not, `logits` and `exact_logits` make them so from now on: `steadiness.settled`.
        """
        self.manner = STEADY
        self.manner = manner_of(self.exact_logits, images.to(self.device))

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Become a copy of what that model is now: its weights have changed and nothing else."""
        for mine, its in zip(_state(self._model), _state(model), strict=True):
            mine.copy_(its)
        if self._quick is not self._model:
            self._quick = _folded(self._model) or self._model

    def logits(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Logits (N, K) in float32, worked out in the quickest type; differentiable in `images`.

        A network that wants to know how noisy its images are is told so: standard deviations (N,).
        """
        told = (noise,) if self.hears_noise and noise is not None else ()

        def ask(images: Tensor, *told: Tensor) -> Tensor:
            return self._checked(self._ask(self._quick, images, *told), images)

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
            return self._checked(self._ask(self._model, images), images).clone()

        with exactly(self.device):
            return settled(ask, self.manner, images)

    def _ask(self, network: nn.Module, images: Tensor, *told: Tensor) -> object:
        """The network's output; its errors become `InputError`s."""
        try:
            return network(images.clone(), *told)  # some models work in place
        except InputError:
            raise
        except Exception as error:
            raise self._refused(images, error) from error

    def _refused(self, images: Tensor, error: Exception) -> InputError:
        return InputError(
            f"model: expected a model that takes images of shape {tuple(images.shape)}; "
            f"it raised {error!r}"
        )

    def _rows(self, output: object, images: Tensor) -> Tensor:
        """The output in float32, checked to have a row per image."""
        if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[1] < 2:
            came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(f"model: expected logits of shape (N, K) with K ≥ 2, got {came}")
        if len(output) != len(images):
            raise InputError(
                f"model: expected logits for {len(images)} images, got {len(output)} rows"
            )
        return output.float()

    def _checked(self, output: object, images: Tensor) -> Tensor:
        rows = self._rows(output, images)
        if not rows.isfinite().all():
            raise InputError("model: expected finite logits, got NaN or infinity")
        return self._as_logits(rows)

    def _as_logits(self, output: Tensor) -> Tensor:
        return output.clamp_min(1e-38).log() if self._gives_probabilities else output


Squashing = Literal["softmax", "log-softmax", "logarithm of a softmax", "sigmoid"]
"""The last operation of some models. A log-softmax is exact; the logarithm of a softmax loses small
probabilities."""


class BeforeSoftmax(nn.Module):
    """A model that returns the logits before its softmax (`before_softmax`)."""

    def __init__(self, model: nn.Module, squashing: Squashing, place: int) -> None:
        super().__init__()
        self.model, self.squashing, self._place = model, squashing, place

    def forward(self, images: Tensor, *told: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W)."""
        with _Noting() as noted:
            self.model(images, *told)
        logits: Tensor = noted.calls[self._place].logits
        return logits


def before_softmax(model: nn.Module, example: Tensor) -> BeforeSoftmax | None:
    """The model without the softmax, log-softmax or sigmoid that its output comes from.

    It may be a module or a function anywhere in the model: torch's calls are recorded during a
    forward pass to find the one that produces the output. TorchScript and exported programs can't
    be recorded.

    Args:
        model: in evaluation mode and float32; the result wraps it.
        example: images (N, C, H, W) in the model's scaling.

    Returns:
        A module that returns the logits (N, K), with the operation left out in `squashing`; None if
        there is no such call.
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
    **dict.fromkeys((torch.softmax, Tensor.softmax, F.softmax), ("softmax", _itself)),
    **dict.fromkeys((torch.special.softmax,), ("softmax", _itself)),
    F.softmin: ("softmax", torch.neg),
    **dict.fromkeys(
        (torch.log_softmax, Tensor.log_softmax, F.log_softmax, torch.special.log_softmax),
        ("log-softmax", _itself),
    ),
    **dict.fromkeys(
        (torch.sigmoid, Tensor.sigmoid, F.sigmoid, torch.special.expit), ("sigmoid", _itself)
    ),
}


def _looks_like(output: Tensor) -> Squashing | None:
    """The operation that may have turned logits into this output (N, K)."""
    if not output.isfinite().all() or (output <= 0).all():
        return "logarithm of a softmax"
    if (output < 0).any():
        return None
    if ((output.sum(1) - 1).abs() < 1e-3).all():
        return "softmax"
    return "sigmoid" if (output <= 1).all() else None


def _identical(one: Tensor, other: object) -> bool:
    return one is other or (
        isinstance(other, Tensor) and one.shape == other.shape and bool((one == other).all())
    )


def _alike(one: Tensor, other: Tensor, tolerance: float) -> bool:
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * float(other.abs().max()))


def _state(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _folded(model: nn.Module) -> nn.Module | None:
    """A copy in which batch normalisation is part of the layer before it, where that is plain.

    None for a model without any. Inside an `nn.Sequential` it is plain which layer comes before.
    The outputs are the same but for rounding, and a gradient step takes a tenth less time.
    """
    if not any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in model.modules()):
        return None
    model = copied(model)
    for stack in [module for module in model.modules() if type(module) is nn.Sequential]:
        for (name, layer), (after, norm) in pairwise(stack.named_children()):
            fuse: Any = None
            if isinstance(layer, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
                fuse = fuse_conv_bn_eval
            elif type(layer) is nn.Linear and type(norm) is nn.BatchNorm1d:
                fuse = fuse_linear_bn_eval
            hooks = (layer._forward_hooks, layer._forward_pre_hooks, norm._forward_hooks)
            plain = not (any(hooks) or norm._forward_pre_hooks or is_parametrized(layer))
            if fuse is not None and norm.track_running_stats and plain:
                stack._modules[name], stack._modules[after] = fuse(layer, norm), nn.Identity()
    return model
