"""Graphs whose weights can be exchanged: networks of one structure are traced once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from onnx import ModelProto

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Place:
    """Where a graph has a weight."""

    stored: str
    weight: str
    transposed: bool


class Templates:
    """Graphs of networks, kept to be filled with the weights of others of the same structure.

    Tracing a network takes seconds, and the networks of the rounds differ in their weights alone.
    A graph may depend on weights in other ways too (a number computed from them while tracing), so
    check a filled graph before you use it.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, list[_Place]]] = {}

    def keep(self, structure: str, graph: "ModelProto", weights: Weights) -> None:
        """Keep a network's graph if every weight is found in it, and no two can be confused.

        Args:
            structure: what networks with the same graph have in common.
            graph: the network as it was traced.
            weights: its weights by name; single numbers stay as they are in the graph.
        """
        from onnx import numpy_helper

        arrays = _arrays(weights)
        places: list[_Place] = []
        for stored in graph.graph.initializer:
            value = numpy_helper.to_array(stored)
            found = [
                _Place(stored.name, name, transposed)
                for name, array in arrays.items()
                for transposed, turned in ((False, array), (True, array.T))
                if np.array_equal(turned, value)
            ]
            if len({place.weight for place in found}) > 1:
                return
            places += found[:1]
        if {place.weight for place in places} == arrays.keys():
            self._known[structure] = graph.SerializeToString(), places

    def filled(self, structure: str, weights: Weights) -> "ModelProto | None":
        """The graph of a network with these weights; None if none of its structure is kept."""
        from onnx import ModelProto, numpy_helper

        if structure not in self._known:
            return None
        content, places = self._known[structure]
        graph = ModelProto()
        graph.ParseFromString(content)
        arrays = _arrays(weights)
        stored = {each.name: each for each in graph.graph.initializer}
        for place in places:
            array = arrays[place.weight]
            value = np.ascontiguousarray(array.T if place.transposed else array)
            stored[place.stored].CopyFrom(numpy_helper.from_array(value, place.stored))
        return graph


def _arrays(weights: Weights) -> dict[str, NDArray[Any]]:
    return {name: each.detach().cpu().numpy() for name, each in weights.items() if each.ndim}
