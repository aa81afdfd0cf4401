"""The page in the browser lies beside the documentation, in `play/`, if it is built."""

import shutil
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from tools.site import ROOT


def setup(app: Sphinx) -> None:
    """Copy the page at the end of a build, and link it from the sidebar."""
    app.add_config_value("play_folder", str(ROOT / "web" / "dist"), "env")
    app.add_config_value("has_play", False, "html")  # pages are written again when it changes
    app.connect("config-inited", _look)
    app.connect("html-page-context", _context)
    app.connect("build-finished", _copy)


def _look(app: Sphinx, config: Config) -> None:
    config.has_play = Path(config.play_folder).is_dir()


def _context(
    app: Sphinx, page: str, template: str, context: dict[str, object], doc: object
) -> None:
    context["play"] = app.config.has_play


def _copy(app: Sphinx, error: Exception | None) -> None:
    page, target = Path(app.config.play_folder), Path(app.outdir) / "play"
    if error is None and app.config.has_play:
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(page, target)
