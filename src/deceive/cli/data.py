"""The flags of labelled images, and reading them."""

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

    def load(self) -> Any:
        """The `Dataset`. Raises `InputError` as `load_data` does."""
        from deceive.data.loading import load_data
        from deceive.data.preparation import Preparation

        if self.size is None:
            return load_data(self.data)
        try:
            preparation = Preparation(size=sides("size", self.size))
        except InputError as error:
            raise InputError(f"--{error}") from error
        return load_data(self.data, preparation=preparation)


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
