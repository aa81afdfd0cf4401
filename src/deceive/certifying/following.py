"""Boxes through networks of any class, as torch.fx follows their code."""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from deceive.certifying.boxes import ROUNDING, Box
from deceive.certifying.rules import RULES, averaged, leaky_rectified, named, squashed, through
from deceive.common.errors import InputError
from deceive.common.raising import raised
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded
from deceive.networks.modules import copied


class _Tracer(fx.Tracer):
    """Enters everything but the layers that there are rules for, and torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is a step of its own."""
        known = type(m) in RULES and type(m) is not nn.Sequential
        known = known or isinstance(m, Classifier | Guarded)
        return known or super().is_leaf_module(m, module_qualified_name)


def followed(network: nn.Module, box: Box) -> tuple[Box, nn.Linear | None]:
    """What goes into a network's last linear layer, and that layer, if it ends in one.

    A softmax at the end is left out. Raises `InputError` when its code or a step of it can't be
    followed.
    """
    network = copied(network)
    graph = _graph(network)
    (output,) = (node for node in graph.nodes if node.op == "output")
    last = output.args[0]
    while isinstance(last, fx.Node) and _is_softmax(last, network):
        last = last.all_input_nodes[0]
    if not isinstance(last, fx.Node):
        raise InputError("network: expected one tensor of scores, got several outputs")
    layer = network.get_submodule(str(last.target)) if last.op == "call_module" else None
    linear = layer if type(layer) is nn.Linear else None
    wanted = last.all_input_nodes[0] if linear is not None else last
    known: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        with named(node.name):
            known[node] = _step(node, network, known, box)
        if node is wanted:
            break
    if not isinstance(known[wanted], Box):
        raise InputError("network: expected an output that depends on the images")
    return known[wanted], linear


def handed_on(network: nn.Module) -> nn.Module:
    """The guarded network or classifier in a module that only hands images on to it.

    Any other module itself.
    """
    if not any(isinstance(each, Guarded | Classifier) for each in network.children()):
        return network
    nodes = [*_graph(network).nodes]
    if [each.op for each in nodes] == ["placeholder", "call_module", "output"]:
        images, call, output = nodes
        if call.args == (images,) and not call.kwargs and output.args == (call,):
            return network.get_submodule(str(call.target))
    return network


def _graph(network: nn.Module) -> fx.Graph:
    try:
        return _Tracer().trace(network)
    except Exception as error:  # a user's code may do anything with what it is given
        kind = type(network).__name__
        raise InputError(
            f"network: expected code that torch.fx can follow, got a {kind}, for which it raised "
            f"{raised(error)}"
        ) from error


def _is_softmax(node: fx.Node, network: nn.Module) -> bool:
    if node.op == "call_module":
        return type(network.get_submodule(str(node.target))) in (nn.Softmax, nn.LogSoftmax)
    return node.target in (F.softmax, F.log_softmax, torch.softmax, torch.log_softmax) or (
        node.op == "call_method" and node.target in ("softmax", "log_softmax")
    )


def _step(node: fx.Node, network: nn.Module, known: dict[fx.Node, Any], box: Box) -> Any:
    """What a step of the code gives: a box, or a number or a shape that doesn't depend on it."""
    if node.op == "placeholder":
        return box if not known else node.args[0] if node.args else None
    args, options = fx.node.map_arg((node.args, dict(node.kwargs)), lambda each: known[each])
    if node.op == "call_module" and isinstance(args[0], Box):
        return through(network.get_submodule(str(node.target)), args[0])
    if node.op in ("call_function", "call_method"):
        name = node.target if node.op == "call_method" else _NAMES.get(node.target)
        try:
            if name in _STEPS:
                return _STEPS[name](*args, **options)
            if callable(node.target) and not any(isinstance(each, Box) for each in args):
                return node.target(*args, **options)  # sums of sizes
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"network: expected steps that can be bounded, got one that raised {raised(error)}"
            ) from error
    called = getattr(node.target, "__name__", node.target)
    raise InputError(f"network: expected steps that can be bounded, got {called}")


def _plainly(name: str) -> Callable[..., Box]:
    """A method of tensors that chooses or moves values."""
    return lambda box, *args, **options: box.mapped(
        lambda values: getattr(values, name)(*args, **options)
    )


def _of_torch(function: Callable[..., Any]) -> Callable[..., Box]:
    """A function that never falls, and chooses values."""
    return lambda box, *args, **options: box.mapped(
        lambda values: function(values, *args, **options)
    )


def _mean(function: Callable[..., Any]) -> Callable[..., Box]:
    return lambda box, *args, **options: averaged(
        lambda values: function(values, *args, **options), box
    )


def _dropped(box: Box, p: float = 0.5, training: bool = True, inplace: bool = False) -> Box:
    if training:
        raise InputError("network: expected no dropout in evaluation mode, got some")
    return box


def _sum(one: Any, other: Any) -> Box:
    if isinstance(one, Box) and isinstance(other, Box):
        made = Box(one.lower + other.lower, one.upper + other.upper)
    else:
        box, number = (one, other) if isinstance(one, Box) else (other, one)
        made = box.mapped(lambda values: values + number)
    return made.widened(2 * ROUNDING * made.size)


def _leaky(box: Box, negative_slope: float = 0.01, inplace: bool = False) -> Box:
    return leaky_rectified(box, negative_slope)


def _size(box: Box, *which: int) -> Any:
    return box.lower.size(*which)


def _attribute(box: Any, name: str) -> Any:
    if name != "shape":
        raise InputError(f"network: expected steps that can be bounded, got .{name}")
    return box.lower.shape


_MOVING = ("flatten", "view", "reshape", "contiguous", "squeeze", "unsqueeze")

_STEPS: dict[Any, Callable[..., Any]] = {
    **{name: _plainly(name) for name in _MOVING},
    "relu": _of_torch(F.relu),
    "max_pool2d": _of_torch(F.max_pool2d),
    "adaptive_max_pool2d": _of_torch(F.adaptive_max_pool2d),
    "relu6": _of_torch(F.relu6),
    "avg_pool2d": _mean(F.avg_pool2d),
    "adaptive_avg_pool2d": _mean(F.adaptive_avg_pool2d),
    "mean": _mean(torch.mean),
    "sigmoid": lambda box: squashed(torch.sigmoid, box),
    "tanh": lambda box: squashed(torch.tanh, box),
    "leaky_relu": _leaky,
    "dropout": _dropped,
    "add": _sum,
    "size": _size,
    "getattr": _attribute,
}

_NAMES: dict[Any, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    torch.flatten: "flatten",
    torch.reshape: "reshape",
    torch.squeeze: "squeeze",
    F.max_pool2d: "max_pool2d",
    torch.max_pool2d: "max_pool2d",
    F.adaptive_max_pool2d: "adaptive_max_pool2d",
    F.relu6: "relu6",
    F.avg_pool2d: "avg_pool2d",
    F.adaptive_avg_pool2d: "adaptive_avg_pool2d",
    torch.mean: "mean",
    torch.sigmoid: "sigmoid",
    F.sigmoid: "sigmoid",
    torch.tanh: "tanh",
    F.tanh: "tanh",
    F.leaky_relu: "leaky_relu",
    F.dropout: "dropout",
    operator.add: "add",
    operator.iadd: "add",
    torch.add: "add",
    getattr: "getattr",
}
