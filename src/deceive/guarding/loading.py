"""Load a guarded classifier from its folder."""

from pathlib import Path

from deceive.auditing.models.importing import importable
from deceive.auditing.models.loaded import AnyModel
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.subject import Subject
from deceive.auditing.opening import declared, fitting, loaded_model
from deceive.common import arguments
from deceive.common.errors import InputError
from deceive.data.dataset import RealData
from deceive.guarding.card import GuardedCard, read_card
from deceive.guarding.model import GuardedModel
from deceive.guarding.readers import Reader
from deceive.guarding.sample import check_same, read_sample
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded
from deceive.storage.models import load_network
from deceive.storage.runs import weights_in


@importable()
@arguments.taking(folder=arguments.place, trust=arguments.flag)
def load_guarded(
    folder: Path | str, model: AnyModel | None = None, *, trust: bool | None = None
) -> GuardedModel:
    """The guarded classifier in a folder that `deceive guard` has made.

    Args:
        folder: the folder.
        model: the classifier that was guarded; by default it is loaded from where it was then.
        trust: open a file that may run code; by default as when it was guarded.

    Raises:
        InputError: when there is no guarded classifier, its classifier isn't there any more or
            answers differently, or a file is damaged.

    >>> from dataclasses import replace
    >>> import torch
    >>> import deceive
    >>> digits = deceive.load_data()
    >>> some = deceive.Split(digits.validation.images[:200], digits.validation.labels[:200])
    >>> less = replace(digits, validation=some)
    >>> _ = deceive.guard("study", less, out="mine", auditing=None, onnx=False)
    >>> static = torch.rand(5, 1, 28, 28)
    >>> deceive.load_guarded("mine").answer(static).passes
    tensor([False, False, False, False, False])
    """
    folder = Path(folder)
    card, subject = loaded_again(folder, model, trust=trust)
    return composed(folder, card, subject)


def loaded_again(
    folder: Path, model: AnyModel | None, *, trust: bool | None
) -> tuple[GuardedCard, Subject]:
    """The card in a folder, and the classifier that was guarded; both as for `load_guarded`."""
    card = read_card(folder)
    spec = card.reader.spec if model is None else model
    if spec is None:
        raise InputError(
            f"model: expected the classifier that was guarded, {card.reader.name}, which was given "
            "as an object; load_guarded(folder, model)"
        )
    data, answers = read_sample(folder, card)
    trust = card.reader.trust if trust is None else trust
    try:
        subject = met_again(spec, data, card, trust=trust)
    except InputError as error:
        if model is not None:
            raise
        raise InputError(f"{error}; or pass the classifier: load_guarded(folder, model)") from error
    check_same(subject, data, answers, card.reader.name)
    return card, subject


def composed(folder: Path, card: GuardedCard, subject: Subject) -> GuardedModel:
    """The guarded classifier, of the guard in a folder and a classifier that has met the data."""
    guard = load_network(weights_in(folder, "guard"))
    assert isinstance(guard, Classifier | Guarded)
    detector: Classifier | None = None
    if card.guard.certified:
        loaded = load_network(weights_in(folder, "detector"))
        assert isinstance(loaded, Classifier)
        detector = loaded
    network = Guarded(
        guard,
        [Reader(subject, card.set.power)],
        doubt=card.settings.doubt,
        guard_doubt=card.set.guard_doubt,
        detector=detector,
        image_shape=card.image_shape,
    )
    return GuardedModel(network, card)


def met_again(model: AnyModel, data: RealData, card: GuardedCard, *, trust: bool) -> Subject:
    """The classifier, as it was met when it was guarded."""
    interface = card.reader.interface
    loaded, data, _ = fitting(loaded_model(model, interface, trust=trust), data, interface)
    return meet(loaded, data, declared(interface, loaded))
