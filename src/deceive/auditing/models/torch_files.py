"""PyTorch's own archives: `torch.export` programs and TorchScript."""

import warnings
import zipfile
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn


def kind_of_archive(path: Path) -> Literal["torch.export", "TorchScript"] | None:
    """The kind of a file, by its content: TorchScript and plain weights have the same suffixes."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if path.suffix.lower() == ".pt2" or any(name.endswith("archive_format") for name in names):
        return "torch.export"
    return "TorchScript" if any("/code/" in name for name in names) else None


def _read_script(path: Path) -> nn.Module:
    with warnings.catch_warnings():
        # Deprecated in favour of torch.export; there are many such files all the same.
        warnings.filterwarnings("ignore", message=r"`torch\.jit", category=DeprecationWarning)
        module: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    # Frozen here, since in a copy of it the parameters count as computed ones and can't be; and
    # inside another module, since a script's own `requires_grad_` is an error.
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return nn.Sequential(module)


def _read_export(path: Path) -> nn.Module:
    return Exported(torch.export.load(path))


READERS = {"TorchScript": _read_script, "torch.export": _read_export}
"""Path → module, by the kind of archive. Reading can run code that the file brings."""


class Exported(nn.Module):
    """A `torch.export` program as a module: always in evaluation mode, for any number of images."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__()
        # In a tuple, where `eval()` doesn't find it: an exported module refuses to change its mode.
        self._held = (program.module(),)
        (image, *_) = (node for node in program.graph.nodes if node.name in _inputs_of(program))
        size = image.meta["val"].shape[0]
        self._batch = size if isinstance(size, int) else None
        self.image_shape = tuple(image.meta["val"].shape[1:])
        """Without the batch; whole numbers where sides are fixed."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Exported":
        """Itself: a program has no modes, and nothing in it changes."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """What the program gives for images (N, C, H, W)."""
        (module,) = self._held
        if self._batch is None:
            answer: Tensor = module(images)
            return answer
        return torch.cat([module(part)[:n] for part, n in in_batches(images, self._batch)])


def _inputs_of(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    return tuple(str(name) for name in program.graph_signature.user_inputs)


def in_batches(images: Tensor, size: int) -> list[tuple[Tensor, int]]:
    """Batches of exactly this size, each with its number of real images.

    The last batch is filled up with its last image.

    >>> [(len(batch), real) for batch, real in in_batches(torch.zeros(5, 1, 2, 2), 3)]
    [(3, 3), (3, 2)]
    """
    parts = []
    for part in torch.split(images, size):
        filling = part[-1:].expand(size - len(part), *part.shape[1:])
        parts.append((torch.cat([part, filling]), len(part)))
    return parts
