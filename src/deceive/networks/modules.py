"""Make copies of arbitrary modules, in float32."""

import copy
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from deceive.common.errors import InputError, warn
from deceive.common.raising import raised


def original(model: nn.Module) -> nn.Module:
    """The module that was given to `torch.compile`; any other model itself."""
    while isinstance(within := getattr(model, "_orig_mod", None), nn.Module):
        model = within
    return model


def without_compile(model: nn.Module) -> nn.Module:
    """The module without `torch.compile`: the original, or a copy if parts of it are compiled.

    A compiled model would be compiled again for each size of batch.
    """
    model = original(model)
    if not any(hasattr(each, "_orig_mod") for each in model.modules()):
        return model
    try:
        return copied(model)
    except InputError:
        return model


def copied(model: nn.Module) -> nn.Module:
    """A deep copy in evaluation mode, without `torch.compile`; leaves the model unchanged.

    Computed tensors (a kept activation, the weight of an old weight norm) are copied as plain
    tensors. Objects that can't be copied, like locks, are shared.

    Raises:
        InputError: when the model as a whole can't be copied.
    """
    model = original(model)
    try:
        twin = copy.deepcopy(model)
    except Exception:  # any error: try again without the parts that can't be copied
        memo: dict[int, Any] = {}
        _spare(model, memo, set())
        try:
            twin = copy.deepcopy(model, memo)
        except Exception as error:
            raise InputError(
                "model: expected a module that copy.deepcopy can copy, since deceive works on a "
                f"copy; it raised {raised(error)}"
            ) from error
    for module in twin.modules():
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = original(child)
    return twin.eval()


def _spare(value: Any, memo: dict[int, Any], seen: set[int]) -> None:
    """Fill a deep copy's memo with replacements for what it can't copy."""
    if id(value) in seen or isinstance(value, type | FunctionType | ModuleType):
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        if not value.is_leaf:
            memo[id(value)] = value.detach().clone()
        return
    for part in _parts(value):
        _spare(part, memo, seen)
    if not isinstance(value, nn.Module):
        try:
            copy.deepcopy(value, dict(memo))
        except Exception:  # any object that can't be copied
            memo[id(value)] = value


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return [*value]
    return [*getattr(value, "__dict__", {}).values()]


def materialised(network: nn.Module, images: Tensor) -> nn.Module:
    """The same network, frozen, with weights in its lazy layers.

    Warns:
        UserWarning: when there were lazy layers; their weights are random.
    """
    if any(is_lazy(tensor) for tensor in (*network.parameters(), *network.buffers())):
        with torch.random.fork_rng(), torch.no_grad():
            torch.default_generator.manual_seed(0)
            network(images.clone())
        warn(
            "the model is lazy and has no weights yet, so deceive uses a copy with random weights, "
            "which the model won't share; run a batch of images through it first"
        )
    for parameter in network.parameters():  # TorchScript's own `requires_grad_` is an error
        parameter.requires_grad_(False)
    return network


def lay_channels_last(model: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
    """Lay the weights of two-dimensional convolutions out with channels last, in place.

    Returns:
        Each changed weight and its data before.
    """
    before = []
    for module in model.modules():
        weight = module._parameters.get("weight") if isinstance(module, nn.Conv2d) else None
        if weight is not None:
            before.append((weight, weight.data))
            # `contiguous` would leave weights of one input channel as they are.
            weight.data = weight.data.to(memory_format=torch.channels_last)
    return before


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters (or buffers, or else nothing: the CPU) live."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def float_type(model: nn.Module) -> torch.dtype:
    """The floating type of the parameters, else of the buffers, else float32."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            return tensor.dtype
    return torch.float32


def in_float32(network: nn.Module, images: Tensor) -> nn.Module:
    """Make a network of any floating type take float32 images.

    If it already does, it stays as it is. Otherwise its weights are converted in place. If that
    fails, because its own code casts to its type, images are converted to that type.
    """
    own = float_type(network)
    if own == torch.float32 or _takes(network, images):
        return network
    converted = copied(network).float()
    return converted if _takes(converted, images) else _InItsType(network, own)


def _takes(network: nn.Module, images: Tensor) -> bool:
    try:
        with torch.no_grad():
            network(images.clone())
    except Exception:  # a user's model may raise anything; reported if nothing helps
        return False
    return True


class _InItsType(nn.Module):
    """Converts images to the network's own floating type."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network, self._own = network, dtype

    def forward(self, images: Tensor, *told: Tensor) -> object:
        return self.network(images.to(self._own), *told)
