"""Run the notebooks from top to bottom and write what they give into them.

`python notebooks/run.py` runs all in full; name notebooks to run those alone.
DECEIVE_NOTEBOOK_BUDGET=small makes it a rehearsal of seconds.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
LANGUAGE = {"name": "python"}


def execute(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook at `path`, run in a kernel of its own with `folder` to work in."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    # The kernel adds its Python's version here, which is the machine's and not the notebook's.
    notebook.metadata["language_info"] = dict(LANGUAGE)
    return notebook


def main(names: list[str]) -> None:
    """Run the named notebooks, or all of them, in place."""
    os.environ.pop("MPLBACKEND", None)  # pictures belong into the notebook
    for path in [Path(name) for name in names] or sorted(HERE.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            notebook = execute(path, Path(folder))
        nbformat.write(notebook, path)
        print(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
