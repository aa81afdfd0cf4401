"""The notebooks become pages of `tutorials`: copies of them lie there while the site is built."""

import shutil

from sphinx.application import Sphinx
from tools.site import NOTEBOOKS, TUTORIALS


def setup(app: Sphinx) -> None:
    """Copy those that have changed."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        copy = TUTORIALS / path.name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            shutil.copyfile(path, copy)
