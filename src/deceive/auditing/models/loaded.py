"""A model that has been loaded, and hasn't been run yet."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from deceive.auditing.models.wants import NOTHING, Wants

Format = Literal[
    "module",
    "torch.export",
    "TorchScript",
    "safetensors",
    "ONNX",
    "Keras",
    "scikit-learn",
    "timm",
    "torchvision",
    "transformers",
    "callable",
]

Function = Callable[[Tensor], Any]

AnyModel = str | Path | nn.Module | Function
"""A model, or where to find one."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A loaded model that hasn't been run yet."""

    name: str
    format: Format
    model: nn.Module | Function
    """Images (N, C, H, W) float32 in, (N, K) out; only an `nn.Module` has a gradient."""
    fingerprint: str = ""
    """SHA-256 of its files or its parameters; empty if none can be read."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each file it came from, by name; empty for code and objects."""
    rubbish_class: int | None = None
    training_seconds: float | None = None
    output: str | None = None
    """Which of several outputs holds its scores."""
    wants: Wants = NOTHING
    """What it declares about its images and labels."""
    arranged: str = ""
    """How images are handed to it, if not as (N, C, H, W): flat, channels last."""
    preprocess: Function | None = None
    """The user's own function, which is part of the model already."""
    prepared: str = ""
    """How pictures become its images, before they are scaled, in words."""
    runs_on: str = "cpu"
    """A device of PyTorch's, or an execution provider of ONNX Runtime's."""
