"""Which columns a model's scores have, and what kind of scores they are."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from deceive.auditing.models.answers import kind_of, kind_of_single, rows
from deceive.auditing.models.asking import asking
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.naming import names_of_labels, order_of
from deceive.auditing.models.outputs import Found
from deceive.auditing.models.readings import Reading
from deceive.auditing.models.remarks import of_squashing
from deceive.common.errors import InputError
from deceive.data.dataset import RealData
from deceive.networks.inference import logits_of
from deceive.networks.modules import device_of, float_type, original
from deceive.networks.squashing import before_softmax


def arranged(
    found: Found, data: RealData, declared: Sequence[str] | None = None
) -> tuple[Reading, list[str]]:
    """How the columns of the scores are read, and notes; also checks their number.

    Args:
        found: the scores.
        data: its classes come first.
        declared: the names of the outputs, if the user gave them.
    """
    output = found.loaded.output
    notes = [f"The audit reads its output “{output}”."] if output is not None else []
    n_outputs = found.scores.shape[1]
    single = n_outputs == 1 and data.n_classes == 2
    if declared is not None:
        names = _checked(declared, 2 if single else n_outputs, data)
    elif single:
        return Reading(single=True), notes
    else:
        names = found.names or found.loaded.wants.class_names
        if names is None and found.labels is not None:
            names = names_of_labels(found.scores, found.labels, data.class_names)
    try:
        order, said = order_of(names, data.class_names, 2 if single else n_outputs)
    except InputError as error:
        if declared is None:
            raise
        raise InputError(f"class_names: {str(error).partition(': ')[2]}") from error
    if not single and n_outputs < data.n_classes:
        raise InputError(
            f"model: expected at least {data.n_classes} outputs, one for each of the data's "
            f"classes, got {n_outputs}; name images of the model's own classes with --data DIR"
        )
    return Reading(single=single, order=order), notes + said


def _checked(names: Sequence[str], n_outputs: int, data: RealData) -> Sequence[str] | None:
    """Declared names of the outputs; None where the order is the data's."""
    if n_outputs > len(names) and tuple(names) == data.class_names:
        return None  # a rubbish class, or others, may follow
    if len(names) != n_outputs:
        raise InputError(
            f"class_names: expected {n_outputs} names, one for each of the model's outputs in "
            f"their order, got {len(names)}"
        )
    return names


def read_as(
    loaded: Loaded, reading: Reading, shown: Tensor, rubbish: int | None
) -> tuple[Loaded, Reading, list[str]]:
    """The model without its softmax or sigmoid, if the logits can be reached; what is read of it.

    Args:
        loaded: the model.
        reading: knows its columns.
        shown: images in the model's scaling.
        rubbish: the declared rubbish class.
    """
    if isinstance(loaded.model, nn.Module) and loaded.format != "safetensors":
        model = original(loaded.model)
        with asking(shown):
            reached = before_softmax(model, shown[:2].to(device_of(model), float_type(model)))
        if reached is not None:  # logits, even if they look like probabilities
            sigmoids = reached.squashing == "sigmoid" and not reading.single
            reading = replace(reading, none_of_them=sigmoids and rubbish is None)
            return (
                replace(loaded, model=reached),
                reading,
                [of_squashing(reached.squashing, reading)],
            )
    outputs = outputs_of(loaded, shown)
    if reading.single:
        return loaded, replace(reading, answers=kind_of_single(outputs)), []
    answers, whole = kind_of(outputs)
    none_of_them = answers == "sigmoids" and rubbish is None
    return loaded, replace(reading, answers=answers, whole=whole, none_of_them=none_of_them), []


def rubbish_of(
    loaded: Loaded, declared: int | None, n_classes: int, n_outputs: int, reading: Reading
) -> int | None:
    """The checked rubbish class, as a column of ours."""
    rubbish = loaded.rubbish_class if declared is None else declared
    if rubbish is None:
        return None
    if n_outputs == n_classes:
        raise InputError(
            f"rubbish_class: expected none, as each of the model's {n_outputs} outputs is one of "
            f"the data's classes, got {rubbish}; drop --rubbish-class"
        )
    ours = rubbish
    if reading.order is not None and 0 <= rubbish < n_outputs:
        ours = reading.order.index(rubbish)
    if not n_classes <= ours < n_outputs:
        raise InputError(
            f"rubbish_class: expected an output after the data's {n_classes} classes and "
            f"below {n_outputs}, got {rubbish}; drop --rubbish-class if it has no such class"
        )
    return ours


def outputs_of(loaded: Loaded, images: Tensor) -> Tensor:
    """The model's own outputs (N, K). Raises `InputError` if they are not scores."""
    with asking(images):
        if isinstance(loaded.model, nn.Module):
            return rows(logits_of(loaded.model, images), len(images))
        return rows(loaded.model(images.clone()), len(images))  # some models work in place
