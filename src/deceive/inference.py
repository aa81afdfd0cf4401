"""Asking a network: in evaluation mode, in float32, in batches, and leaving it as it was."""

import copy
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.nn.utils.parametrize import is_parametrized

from deceive.errors import InputError

BATCH = 500

# All that can be told to take a lesser type for float32.
_backends: Any = torch.backends
_MATRIX_UNITS = (
    _backends.cuda.matmul,
    *(_backends.cudnn.conv, _backends.cudnn.rnn),
    *(_backends.mkldnn.matmul, _backends.mkldnn.conv, _backends.mkldnn.rnn),
)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put `model` into evaluation mode, and each of its modules back as it was on the way out."""
    was_training = [module for module in model.modules() if module.training]
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


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters (or buffers, or else nothing: the CPU) live."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def logits_of(model: nn.Module, images: Tensor, batch: int = BATCH) -> Tensor:
    """Logits (N, K), float32, on the CPU, for images (N, C, H, W); no gradient.

    The model gets copies, and so do we: some work in place, and some give the same tensor each time.
    """
    device = device_of(model)
    with evaluating(model), exactly(device):
        answers = (model(part.to(device, copy=True)) for part in torch.split(images, batch))
        return torch.cat([each.to("cpu", torch.float32, copy=True) for each in answers])


def probabilities_of(model: nn.Module, images: Tensor, batch: int = BATCH) -> Tensor:
    """Softmax at temperature 1 over all outputs: (N, K), float32, on the CPU."""
    return logits_of(model, images, batch).softmax(1)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images (N, C, H, W) whose greatest logit is that of their label (N,), in [0, 1]."""
    right: Tensor = logits_of(model, images).argmax(1) == labels.cpu()
    return right.double().mean().item()


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
    """A copy of a model that only answers: in evaluation mode, frozen, and as quick as may be.

    `logits` works in the type that the processor is quickest at, and serves the gradient;
    `exact_logits` works in float32, and serves whatever is reported. The model itself is never
    touched, whatever happens meanwhile. With `fold`, batch normalisation is made part of the layers
    before it.

    Raises:
        InputError: when the model is no `nn.Module`, or does not turn images like `example`
            (1, C, H, W) into finite logits (N, K) with K ≥ 2.
    """

    def __init__(self, model: nn.Module, example: Tensor, *, fold: bool = True) -> None:
        if not isinstance(model, nn.Module):
            raise InputError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        self.device = device_of(model)
        self.image_shape = tuple(example.shape[1:])
        self._model = copy.deepcopy(model).eval().requires_grad_(False)
        self._quick = self._model
        self._dtype = working_dtype(self.device)
        self._gives_probabilities = False
        self.hears_noise = getattr(model, "hears_noise", False)
        pair = example.to(self.device).repeat(2, 1, 1, 1)
        try:
            output = self.exact_logits(pair)
            self._quick = (fold and _folded(self._model)) or self._model
            folded = (
                output
                if self._quick is self._model
                else self._checked(self._quick(pair.clone()), pair)
            )
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"model: expected one that takes images of shape {tuple(pair.shape)}; "
                f"it says: {error!r}"
            ) from error
        self.n_classes = output.shape[1]
        if not torch.allclose(folded, output, rtol=1e-3, atol=1e-3 * float(output.abs().max())):
            self._quick = self._model  # it takes its parts out of their order
        if (output >= 0).all() and ((output.sum(1) - 1).abs() < 1e-3).all():
            self._gives_probabilities = True
            warnings.warn(
                "the model gives probabilities where logits are expected (rows that are ≥ 0 and "
                "sum to 1); their logarithm is used",
                stacklevel=3,
            )

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
        with torch.autocast(self.device.type, self._dtype, self._dtype != torch.float32):
            return self._checked(self._quick(images.clone(), *told), images)  # some work in place

    def plain_logits(self, images: Tensor, *told: Tensor) -> Tensor:
        """Logits (N, K) in the network's own type, unchecked: what a tracer can follow.

        `told` is the noise (N,), for a network that hears it.
        """
        output: Tensor = self._quick(images, *told)
        return self._as_logits(output)

    def exact_logits(self, images: Tensor) -> Tensor:
        """Logits (N, K), worked out in float32; no gradient."""
        with exactly(self.device):
            return self._checked(self._model(images.clone()), images).clone()

    def _checked(self, output: object, images: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[1] < 2:
            came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(f"model: expected logits of shape (N, K) with K ≥ 2, got {came}")
        if len(output) != len(images):
            raise InputError(
                f"model: expected logits for {len(images)} images, got {len(output)} rows"
            )
        if not output.isfinite().all():
            raise InputError("model: expected finite logits, got NaN or infinity")
        return self._as_logits(output.float())

    def _as_logits(self, output: Tensor) -> Tensor:
        return output.clamp_min(1e-38).log() if self._gives_probabilities else output


def _state(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _folded(model: nn.Module) -> nn.Module | None:
    """A copy in which batch normalisation is part of the layer before it, where that is plain.

    None for a model without any. Inside an `nn.Sequential` it is plain which layer comes before.
    The outputs are the same but for rounding, and a gradient step takes a tenth less time.
    """
    if not any(isinstance(each, nn.modules.batchnorm._BatchNorm) for each in model.modules()):
        return None
    model = copy.deepcopy(model)
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
