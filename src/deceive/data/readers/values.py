"""What numbers mean in an array of pictures: levels 0 to 255, shares 0 to 1, and others."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deceive.common.errors import InputError

_RANGES = ((0, 1), (-1, 1), (0, 16), (0, 255), (-128, 127), (0, 65535))
"""Ranges that are known, tried in this order."""
_ROUNDING = 1e-3


@dataclass(frozen=True)
class Values:
    """The values of black and white.

    >>> import numpy as np
    >>> Values(-1, 1)(np.array([-1.0, 0.0, 1.0]), "images")
    array([  0, 128, 255], dtype=uint8)
    """

    low: float
    high: float

    def __call__(self, pictures: NDArray[Any], where: str) -> NDArray[np.uint8]:
        """Pictures as 8-bit levels. Raises `InputError` for values beyond black and white."""
        if pictures.dtype == np.uint8 and (self.low, self.high) == (0, 255):
            return pictures.astype(np.uint8, copy=False)
        values = pictures.astype(np.float64)
        if values.size:
            low, high = float(values.min()), float(values.max())
            if not self.low - _ROUNDING <= low <= high <= self.high + _ROUNDING:  # or NaN
                raise InputError(
                    f"{where}: expected values from {self.low:g} to {self.high:g} as in other "
                    f"pictures, got {low:g} to {high:g}"
                )
        scaled = (values - self.low) * (255 / (self.high - self.low))
        levels: NDArray[np.uint8] = np.rint(scaled.clip(0, 255)).astype(np.uint8)
        return levels

    def __str__(self) -> str:
        return f"from {self.low:g} to {self.high:g}"


LEVELS = Values(0, 255)


def values_of(some: NDArray[Any], where: str) -> Values:
    """What the values mean, from a few pictures; unsigned bytes are always levels.

    Raises:
        InputError: when they aren't real numbers, or in no known range.
    """
    if some.dtype == np.uint8:
        return LEVELS
    if some.dtype.kind not in "biuf" or not some.size:
        raise InputError(f"{where}: expected pictures of numbers, got {some.dtype}")
    low, high = float(some.min()), float(some.max())
    for black, white in _RANGES:
        if black == -128 and some.dtype.kind == "f":  # more likely normalised
            continue
        if black - _ROUNDING <= low and high <= white + _ROUNDING:
            return Values(black, white)
    raise InputError(
        f"{where}: expected values from 0 to 1, 0 to 255 or -1 to 1, got {low:g} to {high:g}; give "
        "pictures before their normalisation (the audit scales them: --mean, --std)"
    )
