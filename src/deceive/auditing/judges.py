"""The judges: other classifiers for the same data, which vote on what an image shows.

Images that deceive one model may also deceive similar ones, and every classifier has its own weak
spots. Several classifiers of different families rarely share one
(docs/laboratory/resisting-trials.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations, islice

import torch
from torch import Tensor

from deceive.auditing.models.interface import FOUND_OUT, Interface
from deceive.auditing.models.loaded import AnyModel, Loaded
from deceive.auditing.models.remarks import of_judge
from deceive.auditing.models.sameness import same_network
from deceive.auditing.models.subject import Subject
from deceive.auditing.opening import loaded_model, met_as_judge
from deceive.common.errors import InputError
from deceive.data.dataset import RealData
from deceive.judging.measures import NEAR_CHANCE, skill
from deceive.storage.models import load_card

UNDECIDED = -1
"""The judges' vote where no class has a majority."""

AUTO = "auto"
"""Stands for three shipped judges, if they were trained on the data."""

# Candidates for the three judges, in order; the audited network is skipped. They are never
# retrained, so that audits stay comparable.
_SHIPPED, _SEATS = ("judge", "study", "judge-in-noise", "fast"), 3

# Number of validation images to test each judge on.
_EXAMINED = 1000


def majority(seen: Sequence[Tensor]) -> Tensor:
    """The class that more than half of the judges see in each image (N,), or `UNDECIDED`.

    Args:
        seen: for each judge the class (N,) that it sees, rubbish left out.

    >>> majority([torch.tensor([3, 3]), torch.tensor([3, 1]), torch.tensor([7, 8])])
    tensor([ 3, -1])
    """
    votes = torch.stack(list(seen))
    most = votes.mode(0).values
    return most.where(2 * (votes == most).sum(0) > len(votes), UNDECIDED)


def in_words(seen: int, names: Sequence[str]) -> str:
    """The judges' vote on one image, in words, with the classes' names.

    >>> in_words(1, ["cat", "dog"]), in_words(UNDECIDED, ["cat", "dog"])
    ('judges: “dog”', 'judges: undecided')
    """
    return "judges: " + ("undecided" if seen == UNDECIDED else f"“{names[seen]}”")


def meet_judges(
    chosen: Sequence[AnyModel | Loaded],
    subject: Subject,
    data: RealData,
    interface: Interface = FOUND_OUT,
    *,
    trust: bool,
) -> tuple[tuple[Subject, ...], list[str]]:
    """The judges, and notes about the choice.

    Args:
        chosen: models or where to find them, or `AUTO` alone; empty for none. One that is loaded
            already says itself how it wants its images.
        subject: the model that they judge.
        data: real images, which the judges must be able to read.
        interface: what is declared about the judges given.
        trust: open files of formats that can run code.

    Raises:
        InputError: for `AUTO` among others, when a judge reads real images no better than guessing,
            and when two of the judges and the subject are the same network, in any format or
            wrapper.
    """
    if AUTO in chosen and len(chosen) > 1:
        raise InputError(f"judge: expected models, or {AUTO} alone, got {AUTO} and others")
    named = [each for each in chosen if not isinstance(each, Loaded)]
    if replace(interface, device="auto") != FOUND_OUT and (not named or AUTO in named):
        raise InputError(
            "judge: expected models for the given scaling or output to apply to, "
            f"got {AUTO if named else 'none'}"
        )
    if not chosen:
        return (), ["There is no judge, so gibberish and real images both count."]
    if AUTO in chosen:
        if load_card(_SHIPPED[0]).data_checksum != data.checksum:
            return (), [
                "There is no judge for this data, so this is only the fooling rate. Train one "
                "(--judge train), or name other models for the same data (--judge)."
            ]
        return tuple(islice(_shipped(subject, data, interface), _SEATS)), []
    judges = tuple(
        _examined(each, data, FOUND_OUT)
        if isinstance(each, Loaded)
        else _examined(_loaded(each, interface, trust=trust), data, interface)
        for each in chosen
    )
    _check_different(judges, subject, data)
    return judges, [
        f"Judge {each.name}: {of_judge(note)}" for each in judges for note in each.notes
    ]


def _shipped(subject: Subject, data: RealData, interface: Interface) -> Iterator[Subject]:
    """The shipped judges, but not the network that they would judge."""
    for name in _SHIPPED:
        judge = met_as_judge(loaded_model(name, interface, trust=False), data, interface)
        if not same_network(judge, subject, data):
            yield judge


def _check_different(judges: Sequence[Subject], subject: Subject, data: RealData) -> None:
    """Raise `InputError` when a judge is the subject or another judge, by its answers."""
    for judge in judges:
        if same_network(judge, subject, data):
            raise InputError(
                "judge: expected models other than the audited one, got "
                f"{judge.name}, which gives the same answers"
            )
    for one, other in combinations(judges, 2):
        if same_network(one, other, data):
            raise InputError(
                f"judge: expected models that differ, got {one.name} and {other.name}, which give "
                "the same answers; drop one, or one network votes twice"
            )


def _loaded(model: AnyModel, interface: Interface, *, trust: bool) -> Loaded:
    """The judge, unprepared. Its errors say that they are about a judge."""
    try:
        return loaded_model(model, interface, trust=trust)
    except InputError as error:
        raise InputError(f"judge: {str(error).removeprefix('model: ')}") from error


def _examined(loaded: Loaded, data: RealData, interface: Interface) -> Subject:
    """The judge. Raises `InputError` when it doesn't fit or reads no better than guessing."""
    try:
        judge = met_as_judge(loaded, data, interface)
    except InputError as error:
        raise InputError(f"judge {loaded.name}: {error}") from error
    images, labels = data.validation.read(slice(_EXAMINED)), data.validation.labels[:_EXAMINED]
    accuracy = judge.accuracy(images, labels)
    if skill(accuracy, data.n_classes) < NEAR_CHANCE:
        raise InputError(
            f"judge: expected models that read the data, got {judge.name}, which reads "
            f"{accuracy:.1%} of {len(images):,} validation images (guessing: "
            f"{1 / data.n_classes:.1%}); check that it is trained, that its outputs follow the "
            "order of the labels, and its scaling (--judge-bounds, --judge-mean, --judge-std)"
        )
    return judge
