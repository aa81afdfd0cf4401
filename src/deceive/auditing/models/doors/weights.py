"""Weights from a file, for a network that a library builds by name."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from deceive.common.errors import InputError
from deceive.common.files import read_errors


@dataclass(frozen=True, eq=False)
class Weights:
    """The content of a file of weights."""

    path: Path
    state: dict[str, Tensor]
    """A `state_dict`."""


def weights_of(spec: str) -> tuple[str, Weights | None]:
    """The name in NAME or NAME@FILE, and the weights in the file, if there is one."""
    name, there, file = spec.partition("@")
    return name, read_weights(Path(file)) if there else None


def read_weights(path: Path) -> Weights:
    """A `state_dict` from a `.safetensors` file, or from `torch.save`, where it may be nested.

    Only tensors are read: no code in the file is run.

    Raises:
        InputError: when the file is missing, or holds something else.
    """
    with read_errors(path):
        path.open("rb").close()
    try:
        if path.suffix.lower() == ".safetensors":
            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        line = next(iter(str(error).splitlines()), "")
        raise InputError(
            f"{path}: expected a state_dict in a .safetensors file or from torch.save; {line}"
        ) from error
    for name in ("state_dict", "model", "model_state_dict"):
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise InputError(f"{path}: expected a state_dict of tensors, got {type(found).__name__}")
    return Weights(path, {name.removeprefix("module."): value for name, value in found.items()})


def outputs_in(state: Mapping[str, Tensor], network: nn.Module) -> int:
    """The number of outputs that weights are for, by the last of the network's parameters.

    Raises `InputError` when the weights lack it.

    >>> outputs_in({"bias": torch.zeros(7)}, nn.Linear(2, 10))
    7
    """
    *_, last = network.state_dict()
    if last not in state:
        raise InputError(f"weights: expected this network's parameter {last!r}, found none")
    return len(state[last])
