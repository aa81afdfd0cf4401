"""What a wheel holds beside the code: all cards, some networks, the page; hatchling calls this."""

import gzip
import lzma
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class InWheel(BuildHookInterface[Any]):
    """Keeps the wheel small: `deceive` downloads the other networks when they are asked for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files to what the wheel holds."""
        self.compressed = Path(tempfile.mkdtemp())
        if version == "editable":
            return  # it reads the clone's
        included = build_data["force_include"]
        for path in sorted((Path(self.root) / "models").iterdir()):
            if path.suffix == ".json" or path.stem in self.config["networks"]:
                included[str(path)] = f"deceive/models/{path.name}"
        packed = Path(self.root) / "web" / "packed"
        if not (packed / "build.json").is_file():
            self.app.display_warning("This wheel has no page: `make page` builds it.")
            return
        for path in sorted(each for each in packed.rglob("*") if each.is_file()):
            name = path.relative_to(packed)
            if path.suffix == ".gz":  # a quarter smaller
                content = gzip.decompress(path.read_bytes())
                path, name = self.compressed / f"{path.stem}.xz", name.with_suffix(".xz")
                path.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
            included[str(path)] = f"deceive/page/{name.as_posix()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compressed for the wheel."""
        shutil.rmtree(self.compressed)
