"""Puts the built page into the wheel, where `make page` has built it; hatchling calls this."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageInWheel(BuildHookInterface[Any]):
    """Without a built page the wheel has none, and `deceive page` asks for a clone."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder of the packed page to what the wheel holds."""
        if version == "editable":
            return  # it serves the clone's
        packed = Path(self.root) / "web" / "packed"
        if (packed / "build.json").is_file():
            build_data["force_include"][str(packed)] = "deceive/page"
        else:
            self.app.display_warning("This wheel has no page: `make page` builds it.")
