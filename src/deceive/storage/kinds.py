"""Kinds of runs: what their settings and rows have to be, and what tells them apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from deceive.common import checks
from deceive.common.errors import InputError

Row = dict[str, Any]


class RowSchema(BaseModel):
    """The required fields of a row; others may be present."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


@dataclass(frozen=True)
class Kind:
    """A kind of run, and the schemas of its files."""

    word: str
    """What `settings.json` calls it under `run`: study."""
    name: str
    """Its name with an article: a study."""
    settings: type[BaseModel]
    """The schema of the settings."""
    schemas: Callable[[Row, Row], Sequence[type[BaseModel]]]
    """Settings and row → the schemas the row must match; empty for a row that doesn't belong."""

    def check_settings(self, settings: Row, folder: Path) -> None:
        """Raise `InputError` unless the settings of the run in `folder` are of this kind."""
        names = {name for name in self.settings.model_fields if name != "data_checksum"}
        if lacking := sorted(names - settings.keys()):
            raise InputError(
                f"{folder}: expected the folder of {self.name} written by this version, "
                f"got settings without {', '.join(lacking)}; choose another folder, or start "
                "over with --fresh"
            )
        where = str(folder / "settings.json")
        checks.fits(self.settings, settings, where, f"settings of {self.name}", strict=True)

    def check(self, settings: Row, row: Row, where: str) -> None:
        """Raise `InputError` unless a row, read at `where`, belongs to such a run."""
        said = f"a row of {self.name}"
        schemas = self.schemas(settings, row)
        if not schemas:
            part = checks.on_one_line(repr(row.get("part")))
            raise InputError(f"{where}: expected {said}, got one with part {part}")
        for schema in schemas:
            checks.fits(schema, row, where, said, strict=True)


def word_of_old(settings: Row) -> str | None:
    """The kind of a run whose settings were written without `run`; None if they don't tell."""
    if "audit" in settings:
        return "audit"
    if {"rounds", "ascent"} <= settings.keys():
        return "rounds"
    return "study" if "fooling_images" in settings else None
