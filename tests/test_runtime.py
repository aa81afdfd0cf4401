"""What ONNX Runtime leaves behind: nothing. Its folders are new ones, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper, save

USED = """
import sys
import torch
from deceive.auditing.models.formats import load_model

load_model(sys.argv[1]).model(torch.zeros(2, 1, 2, 2))
"""
FACTORY = """
import onnxruntime
import torch

def make():
    return torch.nn.Flatten()
"""
IMPORTED = """
from deceive.auditing.models.formats import load_model

load_model("brings_its_own:make")
"""


@pytest.fixture
def left(tmp_path):
    """Runs a script in a new home where nothing keeps telemetry from starting; what is left."""
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    # It is silent by itself where it believes that it is being tested.
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")}

    def run(script: str, *arguments: str) -> list[Path]:
        said = "import os; os.environ.get('ORT_DISABLE_TELEMETRY') == '1' or os._exit(9)"
        done = subprocess.run(
            [sys.executable, "-c", f"{script}\n{said}", *arguments],
            env=kept | places | {"ORT_DISABLE_TELEMETRY": "0"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return [path for path in home.rglob("*") if path.is_file()]

    return run


def test_reading_an_onnx_file_leaves_no_device_id_and_no_events(left, tmp_path):
    shapes = {"x": ["N", 1, 2, 2], "y": ["N", 4]}
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    graph = helper.make_graph([helper.make_node("Flatten", ["x"], ["y"])], "g", ends[:1], ends[1:])
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "model.onnx")
    assert left(USED, "model.onnx") == []


def test_a_factory_that_imports_it_by_itself_leaves_none_either(left, tmp_path):
    (tmp_path / "brings_its_own.py").write_text(FACTORY)
    assert left(IMPORTED) == []


def test_only_one_module_imports_it():
    # Any other would have it begin to count before it is told not to.
    root = Path(__file__).parents[1]
    importing = {
        path.name
        for folder in ("src", "benchmarks", "web", "notebooks")
        for path in (root / folder).rglob("*.py")
        if "node_modules" not in path.parts and "import onnxruntime" in path.read_text()
    }
    assert importing == {"runtime.py"}
