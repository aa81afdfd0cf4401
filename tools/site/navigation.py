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
    source[0] += "\n\n```{toctree}\n:hidden:\n\n" + "\n".join(pages(source[0])) + "\n```\n"
