"""The page in the browser lies beside the documentation, in `play/`, if it is built."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx
from tools.site import ROOT


def setup(app: Sphinx) -> None:
    """Copy the page at the end of a build, and link it from the sidebar."""
    app.add_config_value("play_folder", str(ROOT / "web" / "dist"), "env")
    app.connect("html-page-context", _context)
    app.connect("build-finished", _copy)


def _context(
    app: Sphinx, page: str, template: str, context: dict[str, object], doc: object
) -> None:
    context["play"] = Path(app.config.play_folder).is_dir()


def _copy(app: Sphinx, error: Exception | None) -> None:
    page, target = Path(app.config.play_folder), Path(app.outdir) / "play"
    if error is None and page.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(page, target)
