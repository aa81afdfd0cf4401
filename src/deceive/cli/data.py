"""The flags of labelled images, and reading them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deceive.common.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """Which labelled images to read, and their size."""

    data: Path | None = None
    """A folder or file of labelled images: class folders, IDX, .npz, .npy, CSV, Parquet or hf:NAME;
    by default MNIST."""
    size: str | None = None
    """Height and width that pictures are stretched to, such as 48x64, or 48 for a square; by
    default their own."""

    @property
    def named(self) -> bool:
        """Whether images are named, by a flag or by DECEIVE_DATA; otherwise they are MNIST."""
        return self.data is not None or "DECEIVE_DATA" in os.environ

    def load(self) -> Any:
        """The `Dataset`. Raises `InputError` as `load_data` does."""
        from deceive.data.loading import load_data

        return load_data(self.data, preparation=self._preparation())

    def open(self) -> Any:
        """The same as a `LazyDataset`. Raises `InputError` as `open_data` does."""
        from deceive.data.opening import open_data

        return open_data(self.data, self._preparation())

    def _preparation(self) -> Any:
        from deceive.data.preparation import AS_THEY_ARE, Preparation

        if self.size is None:
            return AS_THEY_ARE
        try:
            return Preparation(size=sides("size", self.size))
        except InputError as error:
            raise InputError(f"--{error}") from error


def sides(name: str, value: str) -> tuple[int, int]:
    """(height, width) of HxW, or of one number for a square.

    >>> sides("size", "48x192"), sides("crop", "224")
    ((48, 192), (224, 224))
    """
    found = re.fullmatch(r"(\d{1,9})(?:[x×](\d{1,9}))?", value.strip().lower())
    if found is None:
        raise InputError(f"{name}: expected HxW, such as 48x192, or one number, got {value!r}")
    height, width = found[1], found[2] or found[1]
    return int(height), int(width)
