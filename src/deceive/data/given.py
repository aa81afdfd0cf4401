"""Labelled images that are already in Python: arrays, torch's data sets and loaders, and others."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset, TensorDataset

from deceive.common import arguments
from deceive.common.checks import at_least
from deceive.common.checks import seed as check_seed
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, RealData
from deceive.data.lazy import LazyDataset
from deceive.data.names import part_named
from deceive.data.opening import dataset_of, open_data
from deceive.data.preparation import AS_THEY_ARE, Preparation
from deceive.data.prepared import PreparedData
from deceive.data.readers.hub import found_in
from deceive.data.readers.items import Items, item_at, item_of, normalisation_of
from deceive.data.readers.pairs import Labelled, joined_pairs
from deceive.data.readers.reader import Found, Part, PartName
from deceive.data.sampling import SampledData

_EXPECTED = (
    "a data set: a folder or file, (images, labels), a torch Dataset or DataLoader, a "
    "datasets.Dataset, or a dict of these with keys train, validation and test"
)


@arguments.taking(
    preparation=arguments.of("a Preparation", Preparation),
    class_names=arguments.names,
)
def as_data(
    data: Any,
    preparation: Preparation = AS_THEY_ARE,
    *,
    seed: int = 0,
    from_test: bool = False,
    class_names: Sequence[str] = (),
    limit: int = 10_000,
) -> RealData:
    """Labelled images from whatever holds them.

    Args:
        data: a place (see `open_data`); a pair (images, labels); a torch `Dataset` of pairs (image,
            label) or dicts, or a `DataLoader` of one; a `datasets.Dataset`; or a dict of such, with
            keys like train, validation and test. Images in a pair are arrays or tensors, channels
            first or last, of levels, in [0, 1] or in [-1, 1], or a list of pictures or their files.
            Without keys, images are cut by the seed. A `Dataset` or `LazyDataset` of ours is
            returned as it is.
        preparation: how pictures become images of one shape.
        seed: of the order of images and of the cut into splits.
        from_test: where there is nothing for validation, halve the test images: see `open_data`.
        class_names: names of labels 0, 1, …; by default those that the data set has.
        limit: how many items are read, at most, of a torch data set that can only be iterated, or
            whose labels can only be learnt by reading its items. Items that can only be iterated
            are kept in memory.

    Returns:
        A data set that reads its images when they are asked for. A `Normalize` at the end of a
        torchvision transform is undone.

    Raises:
        InputError: when the data are of another kind, or aren't labelled images.

    >>> import numpy as np
    >>> import deceive
    >>> deceive.as_data((np.zeros((60, 8, 8, 3), np.uint8), np.arange(60) % 3))
    LazyDataset(arrays: 36 + 12 + 12 images of (3, 8, 8), 3 classes)
    """
    check_seed("seed", seed)
    at_least("limit", limit, 1)
    if isinstance(data, Dataset | LazyDataset | PreparedData | SampledData):
        return data
    if isinstance(data, str | Path):
        return open_data(data, preparation, seed=seed, from_test=from_test)
    several = data if isinstance(data, Mapping) else {"all": data}
    parts: dict[PartName, Part] = {}
    digest = hashlib.sha256()
    names: Sequence[str] = class_names
    notes: list[str] = []
    for key, each in several.items():
        part = part_named(str(key)) or "all"
        found = _found(each, f"data ({key})" if len(several) > 1 else "data", limit)
        parts[part] = found.parts["all"]
        digest.update(f"{part}{found.checksum}".encode())
        names = names or found.class_names
        notes += [note for note in found.notes if note not in notes]
    if len(parts) > 1:
        parts.pop("all", None)
    whole = Found(parts, digest.hexdigest(), names, tuple(notes))
    return dataset_of(whole, Path(_name(data)), preparation, seed=seed, from_test=from_test)


def _name(data: Any) -> str:
    return "arrays" if type(data) in (tuple, list, dict) else type(data).__name__


def _found(data: Any, where: str, limit: int) -> Found:
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], list):
        return _listed(*data, where, limit)
    if isinstance(data, tuple | list) and len(data) == 2 and all(map(_is_array, data)):
        images, labels = (_array(each) for each in data)
        some = images[:: max(1, len(images) // 1000)] if images.ndim else images
        identity = hashlib.sha256(some.tobytes()).hexdigest()
        return joined_pairs({"all": Labelled(images, labels, identity)}, where)
    if hasattr(data, "with_format") and hasattr(data, "features"):
        return found_in(data, where)
    if isinstance(data, DataLoader):
        if not isinstance(data.dataset, IterableDataset):
            return _found(data.dataset, where, limit)
        return _iterated((item for batch in data for item in _items(batch, where)), where, limit)
    if isinstance(data, IterableDataset):
        return _iterated(data, where, limit)
    is_sequence = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if is_sequence and not isinstance(data, bytes | np.ndarray | np.generic | Tensor):
        return _indexed(data, where, limit)
    raise arguments.refusal("data", _EXPECTED, data)


def _listed(images: list[Any], labels: Any, where: str, limit: int) -> Found:
    """Pictures in a list, or their files, with their labels."""
    found = np.atleast_1d(_array(labels))
    if len(images) != len(found):
        raise InputError(
            f"{where}: expected {len(images):,} labels, one for each picture, got {len(found):,}"
        )
    return _indexed(list(zip(images, found.tolist(), strict=True)), where, limit)


def _is_array(value: Any) -> bool:
    if isinstance(value, list):  # of labels
        return bool(value) and isinstance(value[0], int | str | np.integer)
    return isinstance(value, np.ndarray | Tensor)


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, Tensor):
        arguments.tensor("data", value)
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of several lengths
        raise arguments.refusal("data", _EXPECTED, value) from error


def _items(batch: Any, where: str) -> Iterable[Any]:
    images, labels = item_of(batch, where)
    return zip(images, labels, strict=False)


def _iterated(items: Iterable[Any], where: str, limit: int) -> Found:
    kept = [item_of(item, where) for item in islice(items, limit + 1)]
    labels = np.array([_label(label) for _, label in kept[:limit]])
    note = f"the first {limit:,} items were taken"
    return _of_items(kept, range(len(labels)), labels, where, [note] * (len(kept) > limit))


def _indexed(items: Any, where: str, limit: int) -> Found:
    labels = _labels(items)
    rows: Sequence[int] = range(len(items))
    notes = []
    if labels is None or not _are_right(labels, items, where):
        if len(items) > limit:
            rows = np.linspace(0, len(items) - 1, limit).astype(int).tolist()
            notes.append(f"{limit:,} of {len(items):,} items were taken, evenly spread")
        labels = np.array([_label(item_at(items, row, where)[1]) for row in rows])
    return _of_items(items, rows, labels, where, notes)


def _of_items(
    items: Any, rows: Sequence[int], labels: NDArray[Any], where: str, notes: list[str]
) -> Found:
    if not len(rows):
        raise arguments.refusal("data", "a data set that holds items", items)
    pictures = Items(items, rows, where)
    if normalisation_of(items) is not None:
        notes.append("the transform's Normalize was undone")
    digest = hashlib.sha256(repr((type(items).__name__, len(rows), labels.tolist())).encode())
    names = getattr(items, "classes", ())
    names = tuple(map(str, names)) if isinstance(names, list | tuple) else ()
    return Found({"all": Part(pictures, labels)}, digest.hexdigest(), names, tuple(notes))


def _label(label: Any) -> Any:
    return label.item() if isinstance(label, Tensor | np.generic) and label.ndim == 0 else label


def _labels(items: Any) -> NDArray[Any] | None:
    """The labels of all items, where they can be had without reading the items."""
    if isinstance(items, Subset):
        whole = _labels(items.dataset)
        return None if whole is None else whole[np.asarray(items.indices)]
    if isinstance(items, ConcatDataset):
        each = [_labels(part) for part in items.datasets]
        known = [labels for labels in each if labels is not None]
        return np.concatenate(known) if len(known) == len(each) else None
    if isinstance(items, TensorDataset):
        return _array(items.tensors[1]) if len(items.tensors) > 1 else None
    for name in ("targets", "labels"):
        found = getattr(items, name, None)
        if isinstance(found, list | tuple | np.ndarray | Tensor) and len(found) == len(items):
            return _array(found)
    return None


def _are_right(labels: NDArray[Any], items: Any, where: str) -> bool:
    """Whether some items have these labels; a transform of the targets may change them."""
    some = np.linspace(0, len(items) - 1, min(4, len(items))).astype(int).tolist()
    return all(
        np.array_equal(np.asarray(_label(item_at(items, row, where)[1])), labels[row])
        for row in some
    )
