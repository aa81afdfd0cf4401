"""What pictures are used for: training, choosing, and the final figures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deceive.common.errors import InputError
from deceive.common.seeds import generator_for
from deceive.data.readers.reader import PartName

_MOST = {"validation": 5_000, "test": 10_000}
"""Pictures to hold out from one pile."""
_SHARE = 5
"""A fifth for each."""
_NO_TRAINING = "there are no training images"


@dataclass(frozen=True)
class Rows:
    """Some pictures of a part, in the order in which they are used."""

    part: PartName
    rows: Tensor
    """(n,) int64."""


@dataclass(frozen=True)
class Cut:
    """The three splits."""

    train: Rows | None
    validation: Rows
    test: Rows
    notes: tuple[str, ...]


def cut(
    labels: Mapping[PartName, Tensor],
    seed: int,
    *,
    validation: int | None = None,
    in_order: bool = False,
    from_test: bool = False,
    where: str,
) -> Cut:
    """Decide what each part is used for.

    Training and test pictures: validation is cut from those for training, or with `from_test` the
    test pictures are halved. Training and validation: the latter are halved. One part alone for
    choosing or testing is halved too. One pile, or training pictures alone: a fifth each (at most
    5,000 and 10,000) is held out for validation and test.

    Args:
        labels: classes (N,) of each part.
        seed: of the order. Every first n pictures in that order hold all classes in proportion.
        validation: how many pictures of the training ones or the pile are held out for validation.
        in_order: keep the order of the pictures; validation are the last of those for training.
        from_test: leave the training pictures alone, as a model to be audited has probably seen
            them; not where pictures are kept in order.
        where: the place, for messages.

    Raises:
        InputError: when there are too few pictures.
    """
    orders = {
        part: torch.arange(len(each)) if in_order else spread(each, seed, part)
        for part, each in labels.items()
    }
    if len(labels) == 1:
        (part,) = labels
        order = spread(labels[part], seed, part)
        if part in ("all", "train"):
            found = _cut_pile(part, order, validation, where)
            return replace(found, notes=(_said(found, seed, audited=from_test),))
        return _halved(part, order, None, where)
    train = Rows("train", orders["train"]) if "train" in labels else None
    if "validation" not in labels and from_test and not in_order:
        return _halved("test", orders["test"], train, where)
    if "validation" not in labels:
        return _held_out(orders, validation, in_order, where)
    if "test" not in labels:
        return _halved("validation", orders["validation"], train, where)
    return Cut(
        train,
        Rows("validation", orders["validation"]),
        Rows("test", orders["test"]),
        () if train else (_NO_TRAINING,),
    )


def spread(labels: Tensor, seed: int, purpose: str) -> Tensor:
    """The order (N,) of a seed: random, and every first n hold all classes in proportion.

    >>> import torch
    >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
    >>> labels[spread(labels, 0, "test")[:3]].sort().values
    tensor([0, 0, 1])
    """
    shuffled = torch.randperm(len(labels), generator=generator_for(seed, 0, f"split {purpose}"))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    counts = labels.bincount()
    begins = counts.cumsum(0) - counts
    classes = labels[by_class]
    places = (torch.arange(len(labels)) - begins[classes] + 0.5) / counts[classes]
    # Where places are equal, in a random order of the classes.
    ties = torch.empty(len(labels), dtype=torch.int64)
    ties[shuffled] = torch.arange(len(labels))
    order = ties[by_class].argsort()
    return by_class[order][places[order].argsort(stable=True)]


def _cut_pile(pile: PartName, order: Tensor, validation: int | None, where: str) -> Cut:
    count = len(order)
    held = min(_MOST["validation"], count // _SHARE) if validation is None else validation
    tested = min(_MOST["test"], count // _SHARE)
    if held < 1 or tested < 1 or held + tested >= count:
        least = max(_SHARE, held + 2)
        raise InputError(
            f"{where}: expected at least {least:,} images, so that some are left for each of "
            f"training, validation and test, got {count:,}; about 100 of each class make rates "
            "that mean something"
        )
    return Cut(
        Rows(pile, order[held + tested :]),
        Rows(pile, order[:held]),
        Rows(pile, order[held : held + tested]),
        (),
    )


def _said(pile: Cut, seed: int, *, audited: bool) -> str:
    """What a pile was cut into; in an audit, what its training images are for."""
    left, held, tested = (
        len(each.rows) if each else 0 for each in (pile.train, pile.validation, pile.test)
    )
    said = (
        f"no test split: {tested:,} of the {left + held + tested:,} images, chosen at random (seed "
        f"{seed}), are for testing and {held:,} for validation; "
    )
    if not audited:
        return f"{said}the other {left:,} are for training"
    return (
        f"{said}the audit leaves the other {left:,} alone, except for --judge train. If the model "
        "was trained on any of these images, its accuracy here is too good"
    )


def _halved(part: PartName, order: Tensor, train: Rows | None, where: str) -> Cut:
    if len(order) < 2:
        raise InputError(
            f"{where}: expected at least 2 {part} images, one for validation and one for test, got "
            f"{len(order)}; about 100 of each class make rates that mean something"
        )
    half = (len(order) + 1) // 2
    note = (
        f"the {len(order):,} {part} images are halved: {half:,} for validation, "
        f"{len(order) - half:,} for test"
    )
    notes = (note,) if train else (note, _NO_TRAINING)
    return Cut(train, Rows(part, order[:half]), Rows(part, order[half:]), notes)


def _held_out(
    orders: Mapping[PartName, Tensor], validation: int | None, in_order: bool, where: str
) -> Cut:
    order = orders["train"]
    usual = in_order and validation is None and len(order) > _MOST["validation"]
    held = _MOST["validation"] if usual else validation or _few_of(len(order))
    left = len(order) - held
    if left < 1:
        raise InputError(
            f"{where}: expected at least {held + 1:,} images to train with, {held:,} of them for "
            f"validation, got {len(order):,}"
        )
    notes = () if usual else (f"{held:,} of the {len(order):,} training images are for validation",)
    return Cut(
        Rows("train", order[:left]),
        Rows("train", order[left:]),
        Rows("test", orders["test"]),
        notes,
    )


def _few_of(count: int) -> int:
    """A tenth, but at least 500, and at most 5,000 and half."""
    return max(1, min(_MOST["validation"], count // 2, max(500, count // 10)))
