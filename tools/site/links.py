"""Links that lead out of `docs`: a notebook's go to its page, all others to the repository.

On GitHub they are ordinary relative links. Links within `docs` are Sphinx's to check.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging
from tools.address import repository
from tools.site import DOCS, NOTEBOOKS, ROOT, TUTORIALS

_LOG = logging.getLogger(__name__)
_LINK = re.compile(r"(?<!!)(\[[^\[\]]*\])\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def resolved(text: str, page: Path) -> tuple[str, list[str]]:
    """The text of a page with such links replaced, and the paths of those that lead nowhere.

    Args:
        text: Markdown, or a notebook's JSON.
        page: its file. Links are relative to the folder that it is in; a notebook's to the folder
            that it was copied from.
    """
    missing = []
    home = NOTEBOOKS if page.suffix == ".ipynb" else page.parent

    def replaced(link: re.Match[str]) -> str:
        words, path, anchor = link[1], link[2], link[3] or ""
        target = (home / path).resolve()
        if not target.is_relative_to(ROOT) or (home == page.parent and target.is_relative_to(DOCS)):
            return link[0]
        if not target.exists() or (anchor and anchor[1:] not in anchors(target)):
            missing.append(path + anchor)
            return link[0]
        return f"{words}({_address(target, page)}{anchor})"

    return _LINK.sub(replaced, text), missing


def _address(target: Path, page: Path) -> str:
    """The address of a file of the repository, as seen from a page."""
    if target.parent == NOTEBOOKS:
        target = TUTORIALS / target.name
    if target.is_relative_to(DOCS):
        return os.path.relpath(target, page.parent)
    kind = "tree" if target.is_dir() else "blob"
    return f"{repository()}/{kind}/main/{target.relative_to(ROOT).as_posix()}"


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a Markdown file.

    Backticks and other punctuation go, letters become small, and spaces become hyphens.
    """
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).strip().replace(" ", "-") for each in headings}


def setup(app: Sphinx) -> None:
    """Replace links as pages are read."""
    app.connect("source-read", _read)


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    page = Path(app.env.doc2path(name))
    source[0], missing = resolved(source[0], page)
    for each in missing:
        _LOG.warning("link to %s: no such file or heading", each, location=name)
