"""The notebooks run from top to bottom, and are committed as such a run left them."""

import base64
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from tools.address import name as repository

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"

# The cells that are there for their picture, by their ids.
PICTURES = {
    "cnn_training": {"digits", "loss", "misread", "confidence", "static", "many-static"},
    "deceive_mnist": {
        "gradient",
        "mnist_confidence",
        "filmstrip",
        "starts",
        "judged",
        "improved_model_predictions",
        "deceive_improved",
        "second_mispredicted",
        "pictures",
    },
    "rounds": {"static", "emergence", "sheet", "way", "confidence", "nearest"},
}
FILES = {
    "cnn_training": ["my_network.json", "my_network.safetensors"],
    "deceive_mnist": [
        "five.png",
        "images/deceive_improved.png",
        "images/improved_model_predictions.png",
        "images/mnist_confidence.png",
        "images/second_mispredicted.png",
    ],
    "rounds": [],
}
# /home/…, /tmp/…, C:\…, ~/…: but neither "and/or" nor a fraction nor a media type.
ABSOLUTE_PATH = re.compile(r"(?<![\w.~/<])(?:~?/[\w.-]+/[\w.-]|[A-Za-z]:\\)")


def read(name: str) -> NotebookNode:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(notebook: NotebookNode) -> dict[str, list[bytes]]:
    """The PNGs that each cell gives, for the cells that give any."""
    given = {
        cell.id: [
            base64.b64decode(output.data["image/png"])
            for output in cell.outputs
            if "image/png" in output.get("data", {})
        ]
        for cell in code_cells(notebook)
    }
    return {cell: pngs for cell, pngs in given.items() if pngs}


def kinds(cell: NotebookNode) -> list[tuple[str, list[str]]]:
    """What sorts of output a cell gives, in their order."""
    return [(output.output_type, sorted(output.get("data", {}))) for output in cell.outputs]


def words(notebook: NotebookNode) -> str:
    """Everything that the code cells give in words."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    texts = [output.get("text", "") for output in outputs]
    texts += [
        text
        for output in outputs
        for kind, text in output.get("data", {}).items()
        if not kind.startswith("image/")
    ]
    return "\n".join(texts)


def test_every_notebook_is_tested():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PICTURES)


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DECEIVE_NOTEBOOK_BUDGET", "small")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    work = tmp_path / "work"
    work.mkdir()
    notebook = read(name)
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(work)}},
        coalesce_streams=True,
    ).execute()

    streams = {
        output.name
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "stream"
    }
    assert streams == {"stdout"}  # neither warnings nor progress bars
    drawn = pictures(notebook)
    assert set(drawn) == PICTURES[name]
    assert all(png.startswith(b"\x89PNG") for pngs in drawn.values() for png in pngs)
    written = [path for path in work.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(work / "runs")) for path in written) == FILES[name]

    # The committed one gives the same sorts of output, cell by cell.
    for cell, committed in zip(code_cells(notebook), code_cells(read(name)), strict=True):
        assert kinds(cell) == kinds(committed), cell.id


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_committed_as_run(name):
    notebook = read(name)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert set(pictures(notebook)) == PICTURES[name]
    assert "image/png" not in words(notebook)
    assert not any(cell.metadata for cell in notebook.cells)  # no times of execution
    assert notebook.metadata["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_has_one_title_a_link_to_colab_and_a_cell_that_installs(name):
    notebook = read(name)
    told = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert len(re.findall("^# ", told, re.MULTILINE)) == 1
    assert f"/github/{repository()}/blob/main/notebooks/{name}.ipynb" in notebook.cells[0].source
    places = f"git\\+https://github.com/{repository()}|deceive"
    assert re.search(rf"%pip install --quiet ({places})$", notebook.cells[1].source)
    assert notebook.cells[1].outputs == []


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_committed_outputs_name_no_absolute_path(name):
    found = ABSOLUTE_PATH.search(words(read(name)))
    assert found is None, found


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("saved as /home/me/five.png", True),
        ('File "/usr/lib/python3/x.py"', True),
        (r"C:\Users\me", True),
        ("~/runs/five.png", True),
        ("runs/five.png", False),
        ("and/or", False),
        ("1/10/100", False),
        ("https://example.org/a/b", False),
    ],
)
def test_absolute_paths_are_recognised(text, is_one):
    assert bool(ABSOLUTE_PATH.search(text)) == is_one
