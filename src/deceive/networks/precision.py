"""The types that networks work in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from deceive.common.errors import InputError

# Backends that may silently lower float32 precision.
_backends: Any = torch.backends
_UNIT_BY_UNIT = hasattr(_backends.cuda.matmul, "fp32_precision")  # from torch 2.9 on
_MATRIX_UNITS = (
    (
        _backends.cuda.matmul,
        _backends.cudnn.conv,
        _backends.cudnn.rnn,
        _backends.mkldnn.matmul,
        _backends.mkldnn.conv,
        _backends.mkldnn.rnn,
    )
    if _UNIT_BY_UNIT
    else ()
)
_EXACT: list[Any] = ["ieee"] * len(_MATRIX_UNITS) if _UNIT_BY_UNIT else ["highest", False]


def _allowed() -> list[Any]:
    """What may take the place of float32 now."""
    if _UNIT_BY_UNIT:
        return [unit.fp32_precision for unit in _MATRIX_UNITS]
    return [torch.get_float32_matmul_precision(), _backends.cudnn.allow_tf32]


def _allow(values: list[Any]) -> None:
    """Set what `_allowed` gives."""
    if _UNIT_BY_UNIT:
        for unit, precision in zip(_MATRIX_UNITS, values, strict=True):
            unit.fp32_precision = precision
    else:
        torch.set_float32_matmul_precision(values[0])
        _backends.cudnn.allow_tf32 = values[1]


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Within the block work on `device` is done in float32 and keeps no gradient.

    Neither autocast nor a matrix unit's own type (TF32, bfloat16) takes its place, whatever the
    caller has allowed: on a GPU convolutions are in TF32 otherwise, which has 10 bits of 23.
    """
    allowed = _allowed()
    try:
        _allow(_EXACT)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        _allow(allowed)


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
