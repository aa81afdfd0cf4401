"""Checkpoint files: the tensors and facts from which interrupted work goes on."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors
from torch import Tensor

from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.files import parse_json, replacing

Facts = TypeVar("Facts", bound=BaseModel)


def write(path: Path, tensors: Mapping[str, Tensor], facts: BaseModel) -> None:
    """Write a checkpoint to `path`, atomically.

    >>> from pathlib import Path
    >>> class Count(BaseModel):
    ...     number: int
    >>> write(Path("some.checkpoint"), {"weight": torch.ones(2)}, Count(number=3))
    >>> facts, tensors = read(Path("some.checkpoint"), Count, "expected a checkpoint")
    >>> facts.number, tensors["weight"].tolist()
    (3, [1.0, 1.0])
    """
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    content = safetensors(whole, {"facts": json.dumps(facts.model_dump())})
    with replacing(path, streams=False) as temporary:
        temporary.write_bytes(content)


def read(path: Path, kind: type[Facts], expected: str) -> tuple[Facts, dict[str, Tensor]]:
    """The facts and the tensors of a checkpoint.

    Args:
        path: where `write` put it.
        kind: the model of its facts.
        expected: what an error says was expected.

    Raises:
        InputError: when the file is damaged, or isn't a checkpoint with these facts.
    """
    try:
        with safe_open(path, "pt") as stored:
            said = (stored.metadata() or {}).get("facts", "")
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: {expected}; {error}") from error
    where, wanted = str(path), expected.removeprefix("expected ")
    given = parse_json(said.encode("utf-8", "surrogatepass"), where, wanted)
    return checks.fits(kind, given, where, wanted, strict=True), tensors


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names and bytes: damaged weights may still be finite."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
