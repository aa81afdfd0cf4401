"""What the documentation site needs beside Sphinx; `docs/conf.py` adds each part."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NOTEBOOKS = ROOT / "notebooks"
TUTORIALS = DOCS / "tutorials"
"""Where copies of the notebooks lie while the site is built."""
