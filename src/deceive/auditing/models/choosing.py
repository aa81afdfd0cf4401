"""Choose the scores among a model's outputs."""

from typing import Any

import torch

from deceive.auditing.models.answers import as_tensor, columns_of
from deceive.auditing.models.leaves import Leaves, is_array
from deceive.common.errors import InputError

# How far a softmax may be from what a model itself returns as the probabilities.
_ROUNDING = 1e-4


def chosen(leaves: Leaves, count: int, n_classes: int, output: str | None) -> str:
    """The name of the output to read, as `pick` says.

    Args:
        leaves: the outputs, by name.
        count: the number N of the images that they are for.
        n_classes: number of the data's classes.
        output: the name that the user gave, if one.

    Raises:
        InputError: when none is named so, or none or several fit.
    """
    if [*leaves] == [""]:
        if output is not None:
            raise InputError(
                f"output: expected none for a model with one output, got {output!r}; drop --output"
            )
        return ""
    listed = ", ".join(_described(name, value) for name, value in leaves.items()) or "nothing"
    if output is not None:
        if output not in leaves or not _is_scores(leaves[output], count, least=1):
            raise InputError(
                f"output: expected the name of scores (N, K), got {output!r}; the model has "
                f"{listed}"
            )
        return output
    if len(leaves) == 1:
        return next(iter(leaves))
    columns = {
        name: columns_of(as_tensor(value)).shape[1]
        for name, value in leaves.items()
        if _is_scores(value, count, least=1)
    }
    fitting = [name for name, each in columns.items() if each > 1 and each - n_classes in (0, 1)]
    called = [name for name in fitting or columns if name.rpartition(".")[2] == "logits"]
    single = [name for name, each in columns.items() if each == 1 and n_classes == 2]
    for names in (fitting, called, _before_softmax(leaves, fitting), [] if fitting else single):
        if len(names) == 1:
            return names[0]
    raise InputError(
        f"output: expected exactly one output with {n_classes} columns, one per class of the data "
        f"(or {n_classes + 1}, with rubbish), got {listed}; choose one with --output NAME, or name "
        "images of the model's own classes with --data DIR"
    )


def _before_softmax(leaves: Leaves, names: list[str]) -> list[str]:
    """Of two outputs the one whose softmax is the other."""
    scores = {name: columns_of(as_tensor(leaves[name])).detach().float().cpu() for name in names}
    pairs = [(a, b) for a in names for b in names if a != b and len(names) == 2]
    return [
        a
        for a, b in pairs
        if scores[a].shape == scores[b].shape
        and torch.allclose(scores[a].softmax(1), scores[b], atol=_ROUNDING)
    ]


def _is_scores(value: Any, count: int, least: int) -> bool:
    """Whether these may be scores (N, K) with K at least `least`, apart from sides of length 1."""
    if not is_array(value) or value.ndim == 0 or len(value) != count:
        return False
    if value.ndim > 4 or getattr(getattr(value, "dtype", None), "kind", "f") != "f":
        return False  # an array of labels
    found = as_tensor(value)
    columns = columns_of(found)
    return found.is_floating_point() and columns.ndim == 2 and columns.shape[1] >= least


def _described(name: str, value: Any) -> str:
    """Name and shape: embedding (N, 64)."""
    if not is_array(value):
        return f"{name} ({type(value).__name__})"
    sizes = ", ".join(["N", *map(str, value.shape[1:])]) if value.ndim else ""
    return f"{name} ({sizes}{',' * (value.ndim == 1)})"
