"""Where a model runs."""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from deceive.auditing.models.interface import DeviceName
from deceive.common.errors import InputError
from deceive.networks.modules import copied, device_of


def _is_there(device: str) -> bool:
    return torch.cuda.is_available() if device == "cuda" else torch.backends.mps.is_available()


def chosen(device: DeviceName, is_there: Callable[[str], bool] = _is_there) -> str:
    """The device to run on: `auto` is a GPU if there is one, else the CPU.

    Raises `InputError` for a GPU that isn't there.

    >>> chosen("auto", lambda device: device == "mps"), chosen("auto", lambda device: False)
    ('mps', 'cpu')
    """
    if device == "auto":
        return next((each for each in ("cuda", "mps") if is_there(each)), "cpu")
    if device != "cpu" and not is_there(device):
        raise InputError(f"device: expected an available one, got {device}; pass --device cpu")
    return device


def placed(module: nn.Module, device: DeviceName, *, own: bool) -> nn.Module:
    """The module on its device.

    Args:
        module: the model.
        device: where it shall run.
        own: whether it was loaded for this audit. Another one stays where it is with `auto`, and
            else is copied.

    Raises:
        InputError: for a GPU that isn't there, or a module that can't be moved.
    """
    if device == "auto" and not own:
        return module
    where = chosen(device)
    if device_of(module).type == where:
        return module
    module = module if own else copied(module)
    try:
        return module.to(where)
    except Exception as error:  # a module may refuse to be moved
        raise InputError(f"device: expected a model that runs on {where}; {error}") from error


_PROVIDERS = {
    "cuda": ("CUDAExecutionProvider", "ROCMExecutionProvider"),
    "mps": ("CoreMLExecutionProvider",),
}


def providers(device: DeviceName, available: Sequence[str]) -> list[str]:
    """ONNX Runtime's execution providers for a device, in the order in which it shall try them.

    Raises `InputError` for a GPU without a provider.

    >>> providers("auto", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    ['CUDAExecutionProvider', 'CPUExecutionProvider']
    >>> providers("cpu", ["CUDAExecutionProvider", "CPUExecutionProvider"])
    ['CPUExecutionProvider']
    """
    wanted = _PROVIDERS.get("cuda" if device == "auto" else device, ())
    there = [each for each in wanted if each in available]
    if device in _PROVIDERS and not there:
        raise InputError(
            f"device: expected a provider of ONNX Runtime for {device}, got "
            f"{', '.join(available)}; install the onnxruntime package for it, or pass --device cpu"
        )
    return [*there, "CPUExecutionProvider"]
