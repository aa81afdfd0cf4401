"""The sidebar: the pages of a folder in the order in which its `index.md` links to them."""

import re
from pathlib import Path

from sphinx.application import Sphinx

_PAGE = re.compile(r"(?<!!)\[[^\[\]]*\]\((?![a-z]+:|\.\./)([^)\s#]+)\.(?:md|ipynb)\)")


def pages(text: str) -> list[str]:
    """The pages in or below its own folder that an `index.md` links to, each once."""
    return list(dict.fromkeys(_PAGE.findall(text)))


def setup(app: Sphinx) -> None:
    """Add the list to each `index.md`; it is no part of the page."""
    app.connect("source-read", _read, priority=600)  # after the links of `links.py`


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    if Path(name).name != "index":
        return
    listed = pages(source[0])
    if name == "index":  # the start page links to some pages of other folders, too
        listed = [page for page in listed if "/" not in page or page.endswith("/index")]
    lines = ["", "", "```{toctree}", ":hidden:", ":titlesonly:", "", *listed, "```", ""]
    source[0] += "\n".join(lines)
