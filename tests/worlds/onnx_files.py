"""`Bands` as an ONNX file."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

from conftest import Bands


def onnx_file(
    path: Path,
    shape: Sequence[int | str],
    *,
    batch: int | str = "N",
    kind: int = TensorProto.FLOAT,
    label: bool = False,
) -> Path:
    """`Bands` as an ONNX file with an input of (batch, *shape), by ONNX's own operators."""
    weight = Bands().weight.detach().numpy().T  # (16, 4)
    nodes = [
        helper.make_node("Cast", ["images"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["scores"]),
    ]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, 4])]
    if label:
        nodes.append(helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0))
        outputs.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [batch]))
    graph = helper.make_graph(
        nodes,
        "bands",
        [helper.make_tensor_value_info("images", kind, [batch, *shape])],
        outputs,
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
