"""The scores in an ONNX file of scikit-learn that gives a mapping from labels to scores."""

from typing import TYPE_CHECKING, Any

from deceive.auditing.models.leaves import by_number
from deceive.common.errors import InputError

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto


def before_zipmap(graph: "GraphProto", name: str) -> tuple[str, tuple[int, ...] | None]:
    """The tensor of scores that an output is, or that its mappings are made of.

    Args:
        graph: of the file.
        name: of the output.

    Returns:
        The name of the tensor, and its column for each label in order (by number, then by name);
        None where the output is a tensor itself.

    Raises:
        InputError: when there is no such output, or none of these kinds.
    """
    output = next((each for each in graph.output if each.name == name), None)
    if output is None:
        raise InputError(f"its scores are within the output {name!r}")
    if output.type.HasField("tensor_type"):
        return name, None
    makers = {made: node for node in graph.node for made in node.output}
    node = makers.get(name)
    while node is not None and node.op_type == "Identity":
        node = makers.get(node.input[0])
    if node is None or node.op_type != "ZipMap":
        raise InputError(f"its output {name!r} is neither a tensor nor made by a ZipMap")
    labels = _labels(node)
    order = sorted(range(len(labels)), key=lambda place: by_number(labels[place]))
    return node.input[0], tuple(order)


def _labels(node: "NodeProto") -> list[Any]:
    """The labels of a ZipMap's columns."""
    found: list[Any] = []
    for attribute in node.attribute:
        found += [*attribute.ints, *(each.decode() for each in attribute.strings)]
    return found
