"""Open labelled pictures of any layout; they are decoded when they are asked for."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deceive.common import arguments
from deceive.common.checks import at_least
from deceive.common.checks import seed as check_seed
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.data.idx import by, reason
from deceive.data.labelling import classes_of
from deceive.data.lazy import LazyDataset, LazySplit
from deceive.data.losses import Losses
from deceive.data.preparation import AS_THEY_ARE, Preparation
from deceive.data.readers.hub import PREFIX, read_hub
from deceive.data.readers.idx import read_source
from deceive.data.readers.known import READERS
from deceive.data.readers.reader import Found
from deceive.data.source import MNIST, Source
from deceive.data.splitting import Rows, cut
from deceive.data.unknown import nothing_known

_SAMPLED = 48
"""Pictures decoded on opening, to learn channels and size."""


@arguments.taking(
    place=arguments.maybe(arguments.place),
    preparation=arguments.of("a Preparation", Preparation),
    any_labels=arguments.flag,
    source=arguments.of("a Source", Source),
)
def open_data(
    place: str | Path | None = None,
    preparation: Preparation = AS_THEY_ARE,
    *,
    seed: int = 0,
    validation: int | None = None,
    from_test: bool = False,
    any_labels: bool = False,
    source: Source = MNIST,
) -> LazyDataset:
    """Open labelled pictures of any known layout. Only a few are decoded, to learn their size.

    Args:
        place: a folder or file of a known layout, or `hf:ORG/NAME` (`hf:ORG/NAME:CONFIG`) of
            Hugging Face's hub. When None: what the environment variable
            DECEIVE_DATA names, else the source's.
        preparation: how pictures become images of one shape. By default their size is kept, and
            they are colour if any sampled one is.
        seed: of the order of pictures and of the cut into splits, where the layout has none.
        validation: how many images are held out for validation where the layout has none for it;
            by default 5,000, or fewer of few.
        from_test: where the layout has none for validation, halve the test images and leave those
            for training alone: a model to be audited has probably seen them. IDX files in MNIST's
            layout keep their last training images for it.
        any_labels: accept labels with gaps and a single class, for pictures whose labels don't
            matter.
        source: the data set to read if no place is named.

    Returns:
        A `LazyDataset`, whose notes say what was taken for what.

    Raises:
        InputError: when nothing known is there, files are damaged, labels aren't classes, there are
            too few pictures, or they have different sizes and the preparation has none.

    >>> import deceive
    >>> data = deceive.open_data()
    >>> data
    LazyDataset(mnist: 55,000 + 5,000 + 10,000 images of (1, 28, 28), 10 classes)
    >>> data.test.read(slice(0, 2)).shape
    torch.Size([2, 1, 28, 28])
    """
    check_seed("seed", seed)
    if validation is not None:
        at_least("validation", validation, 1)
    given = place or os.environ.get("DECEIVE_DATA")
    folder = Path(given) if given else source.folder()
    if str(given).startswith(PREFIX):
        found = read_hub(str(given))
    elif not given or _is_shipped(folder, source):
        found = read_source(folder, source)
    else:
        found = _found(folder)
    return dataset_of(
        found,
        folder,
        preparation,
        seed=seed,
        validation=validation,
        from_test=from_test,
        any_labels=any_labels,
    )


def _is_shipped(folder: Path, source: Source) -> bool:
    try:
        return folder.resolve() == source.shipped
    except (OSError, ValueError, RuntimeError):  # a loop of links is the last, before Python 3.13
        return False


def _found(place: Path) -> Found:
    """What the first reader that recognises the place makes of it."""
    try:
        for reader in READERS:
            if reader.recognises(place):
                return reader.read(place)
        raise InputError(nothing_known(place, READERS))
    except OSError as error:
        raise InputError(f"{place}: expected a readable folder; {reason(error)}") from error


def dataset_of(
    found: Found,
    folder: Path,
    preparation: Preparation,
    *,
    seed: int,
    validation: int | None = None,
    from_test: bool = False,
    any_labels: bool = False,
) -> LazyDataset:
    """A data set of what a reader found; arguments and errors as in `open_data`."""
    where = str(folder)
    raw = {name: part.labels for name, part in found.parts.items() if _is_labelled(part.labels)}
    unlabelled = [f"{name}: there are no labels; left out" for name in found.parts.keys() - raw]
    if not raw:
        raise InputError(f"{where}: expected labelled pictures, found none")
    if not any_labels:
        found.check()
    classes = classes_of(raw, found.class_names, where=where, any_labels=any_labels)
    splits = cut(
        classes.labels,
        seed,
        validation=validation,
        in_order=found.in_order,
        from_test=from_test,
        where=where,
    )
    losses = Losses(sum(len(each) for each in raw.values()), where)
    losses.know(found.lost)

    def lazy(rows: Rows | None) -> LazySplit | None:
        if rows is None:
            return None
        labels = classes.labels[rows.part][rows.rows]
        pictures = found.parts[rows.part].pictures
        return LazySplit(pictures, rows.rows, labels, preparation, (1, 1, 1), losses)

    train, chosen, test = (lazy(each) for each in (splits.train, splits.validation, splits.test))
    assert chosen is not None
    assert test is not None
    there = [each for each in (test, chosen, train) if each is not None]
    known, shape, notes = _looked(there, preparation, as_is=found.in_order)
    return LazyDataset(
        train=train and replace(train, preparation=known, image_shape=shape),
        validation=replace(chosen, preparation=known, image_shape=shape),
        test=replace(test, preparation=known, image_shape=shape),
        class_names=classes.names,
        checksum=found.checksum,
        folder=folder,
        losses=losses,
        found=(*found.notes, *unlabelled, *classes.notes, *splits.notes, *notes),
    )


def _is_labelled(labels: NDArray[Any]) -> bool:
    """Whether there are labels; Hugging Face's hidden ones are all -1."""
    return bool(len(labels)) and (labels.dtype.kind not in "if" or bool((labels != -1).any()))


def _looked(
    splits: Sequence[LazySplit], preparation: Preparation, *, as_is: bool
) -> tuple[Preparation, Shape, tuple[str, ...]]:
    """The preparation with its channels, the shape of its images, and notes.

    A few pictures tell. With `as_is`, they keep any number of channels.
    """
    where = splits[0].losses.where
    sampled = {shape for split in splits for shape in split.shapes(_SAMPLED)}
    if not sampled:
        raise InputError(f"{where}: expected pictures that can be read, found none")
    sizes = {preparation.size_of((height, width)) for _, height, width in sampled}
    if len(sizes) > 1:
        several = sorted(by(each) for each in sizes)
        raise InputError(
            f"{where}: expected pictures of one size, got {', '.join(several[:3])}"
            f"{' and others' if len(several) > 3 else ''}; bring them to one with --size 224, or "
            "with --resize 256 --crop 224"
        )
    channels = {shape[0] for shape in sampled}
    if as_is and preparation.channels is None:
        return preparation, (min(channels), *sizes.pop()), ()
    wanted = preparation.channels or (3 if max(channels) > 2 else 1)
    known = replace(preparation, channels=wanted)
    return known, (wanted, *sizes.pop()), _about_channels(channels, wanted)


def _about_channels(channels: set[int], wanted: int) -> tuple[str, ...]:
    notes = []
    if channels & {2, 4}:
        notes.append("some pictures have an alpha channel: transparent pixels are white")
    colours = {3 if each > 2 else 1 for each in channels}
    if colours != {wanted}:
        which = "some pictures are" if len(colours) > 1 else "pictures are"
        change = "grey: all become colour" if wanted == 3 else "in colour: all become grey"
        notes.append(f"{which} {change}")
    return tuple(notes)
