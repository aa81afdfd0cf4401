"""Match a model's outputs to the data's classes by their names."""

import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from torch import Tensor

from deceive.common.checks import few
from deceive.common.errors import InputError

# Names to list in a sentence; of more, the first ones.
_LISTED = 5

# ImageNet's ids of classes, as folders are named: n01440764.
_WORDNET = re.compile(r"n\d{8}\b")


def order_of(
    names: Sequence[str] | None, data: Sequence[str], n_outputs: int
) -> tuple[tuple[int, ...] | None, list[str]]:
    """The model's column for each of ours, the data's classes first, and notes about it.

    Names are compared without case, spaces and punctuation; "tench, Tinca tinca" has two synonyms.
    If none match, or there are no names, the order is kept: None.

    >>> order_of(["dog", "Polar Bear", "cat"], ["cat", "polar_bear"], 3)[0]
    (2, 1, 0)
    >>> order_of(None, ["cat", "dog"], 2)
    (None, [])

    Args:
        names: of the model's outputs; None if it has none.
        data: names of the data's classes.
        n_outputs: the number of the model's outputs.

    Raises:
        InputError: when some match and others don't; or none match, and the numbers differ too.
    """
    numbered = _are_numbers(data)
    if names is None or len(names) != n_outputs or _are_numbers(names):
        names = _imagenet(data, n_outputs)
    if names is None:
        return None, [_taken(n_outputs, len(data))] if n_outputs > len(data) + 1 else []
    found = _found(names, data)
    lacking = [place for place, column in enumerate(found) if column is None]
    if len(lacking) == len(data):
        return None, _unmatched(names, data, numbered=numbered)
    rest = [column for column in range(n_outputs) if column not in found]
    said = []
    if len(lacking) == len(rest) == 1:
        found[lacking[0]] = rest[0]
        said.append(f"Its class “{names[rest[0]]}” is taken for “{data[lacking[0]]}” in the data.")
        rest = []
    elif lacking:
        raise InputError(
            f"data: expected names of the model's classes, got {_few(data, lacking)}, which are "
            f"none of {_few(names, rest)}; rename these folders, or leave them out; or name the "
            "model's outputs with --class-names"
        )
    order = (*[column for column in found if column is not None], *rest)
    if order == tuple(range(n_outputs)) and n_outputs == len(data):
        return None, said
    told = f"Its {n_outputs:,} outputs are matched to the data's {len(data):,} classes by name."
    return order, [" ".join([told, *said])]


def names_of_labels(
    scores: Tensor, labels: Sequence[str], data: Sequence[str]
) -> tuple[str, ...] | None:
    """The names of columns, of a model that gives the label with the greatest score as well.

    Libraries sort their labels: if that explains all that are given, they are taken to be sorted.

    >>> import torch
    >>> names_of_labels(torch.eye(3), ["ant", "bee", "cat"], ["cat", "ant", "bee"])
    ('ant', 'bee', 'cat')

    Args:
        scores: (N, K).
        labels: of the N images.
        data: names of the data's classes.
    """
    known = {_plain(name) for name in data}
    if scores.shape[1] != len(known) or not {_plain(label) for label in labels} <= known:
        return None
    ordered = tuple(sorted(data))
    agree = [
        _plain(ordered[column]) == _plain(label)
        for column, label in zip(scores.argmax(1).tolist(), labels, strict=True)
    ]
    return ordered if all(agree) else None


def _are_numbers(names: Sequence[str]) -> bool:
    """Whether they are 0, 1, 2, …, which say nothing about the order of classes with names."""
    return [*names] == [str(number) for number in range(len(names))]


def _found(names: Sequence[str], data: Sequence[str]) -> list[int | None]:
    """The column of each of the data's classes, where exactly one has its name."""
    whole, single = defaultdict(set), defaultdict(set)
    for column, name in enumerate(names):
        whole[_plain(name)].add(column)
        for synonym in _synonyms(name):
            single[synonym].add(column)
    found: list[int | None] = []
    for name in data:
        known = [single[each] for each in _synonyms(name) if each in single]
        columns = whole.get(_plain(name)) or (set.union(*known) if known else set())
        found.append(next(iter(columns)) if len(columns) == 1 else None)
    twice = {column for column in found if column is not None and found.count(column) > 1}
    return [None if column in twice else column for column in found]


def _plain(name: str) -> str:
    return "".join(each for each in str(name).casefold() if each.isalnum())


def _synonyms(name: str) -> list[str]:
    """All names in one: its ImageNet id, the parts between commas, and the whole."""
    name = str(name)
    ids = _WORDNET.findall(name)
    parts = _WORDNET.sub("", name).split(",") if len(ids) == 1 else name.split(",")
    return [*dict.fromkeys(filter(None, map(_plain, [name, *ids, *parts])))]


def _imagenet(data: Sequence[str], n_outputs: int) -> Sequence[str] | None:
    """ImageNet's ids in their order, for a model of 1,000 outputs and folders named by ids."""
    if n_outputs != 1000 or not all(_WORDNET.fullmatch(name) for name in data):
        return None
    with suppress(ImportError):
        ids: list[str] = import_module("timm.data").ImageNetInfo().label_names()
        return ids
    return sorted(data) if len(data) == n_outputs else None


def _unmatched(names: Sequence[str], data: Sequence[str], *, numbered: bool) -> list[str]:
    """The note that no name matches, if it matters."""
    n_outputs, every = len(names), range(max(len(names), len(data)))
    if numbered or n_outputs < len(data):
        return []
    if n_outputs - len(data) in (0, 1):
        return [
            f"None of its class names ({_few(names, every)}) is one of the data's "
            f"({_few(data, every)}): its outputs are taken in the order of the data's classes."
        ]
    raise InputError(
        f"data: expected images of the model's classes ({_few(names, every)}), got "
        f"{_few(data, every)}; name a folder with images of its classes with --data DIR, or its "
        "outputs with --class-names"
    )


def _taken(n_outputs: int, n_classes: int) -> str:
    """The note on a model without names and with more outputs than there are classes."""
    return (
        f"It has {n_outputs:,} outputs: the first {n_classes:,} are taken for the data's classes, "
        "in their order. If they stand for others, name images of its own classes with --data."
    )


def _few(names: Sequence[str], places: Sequence[int]) -> str:
    """The first of the names at these places, quoted."""
    listed = [f"“{names[place]}”" for place in places if place < len(names)]
    return few(listed, _LISTED)
