"""A model's first run on the data, to detect what isn't declared."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from deceive.auditing.models.answers import Answers, kind_of, rows
from deceive.auditing.models.interface import FOUND_OUT, Interface, Scaling, check_channels
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.outputs import asking, pick
from deceive.auditing.models.scaling import best_read, usual
from deceive.auditing.models.subject import Adapted, Subject, answering
from deceive.common.errors import InputError
from deceive.data.dataset import Labelled, RealData, in_batches
from deceive.networks.inference import batch_for, has_gradient, logits_of
from deceive.networks.modules import device_of, float_type, original
from deceive.networks.squashing import BeforeSoftmax, before_softmax
from deceive.networks.steadiness import STEADY, manner_of, settled

# Validation images that reveal the kind of outputs.
_FIRST = 32

# Images for checking that answers are repeatable.
_WATCHED = 8


def meet(loaded: Loaded, data: RealData, interface: Interface = FOUND_OUT) -> Subject:
    """Run a model on the data for the first time, and detect what its interface leaves open.

    Args:
        loaded: the model.
        data: its labels are the model's first outputs.
        interface: what is declared about the model. The default scaling is [0, 1] for our own
            networks, and for others the usual scaling that they read best with.

    Raises:
        InputError: when the model does not turn images of the data's shape into outputs (N, K)
            with K at least the number of classes, returns a sigmoid per class, or doesn't fit what
            is declared.
    """
    first = data.validation.read(slice(_FIRST))
    loaded, scaling, notes = _fed(loaded, data, interface, first)
    loaded, said = _before_squashing(loaded, scaling(first[:2]))
    notes += said
    outputs = _outputs_of(loaded, scaling(first))
    n_outputs = outputs.shape[1]
    rubbish = _rubbish(loaded, interface.rubbish_class, data.n_classes, n_outputs)
    answers: Answers = "logits"  # even if what went into the softmax looks like probabilities
    if not isinstance(loaded.model, BeforeSoftmax):
        answers = kind_of(outputs)
    module, said = _differentiable(loaded, scaling, answers, first[:2])  # some need a batch of two
    subject = Subject(
        loaded=loaded,
        scaling=scaling,
        image_shape=data.image_shape,
        n_classes=data.n_classes,
        n_outputs=n_outputs,
        rubbish_class=rubbish,
        answers=answers,
        module=module,
        notes=(*notes, *said, *_found(n_outputs, rubbish, answers, data.n_classes)),
        warnings=(),
        manner=STEADY,
        answer=answering(loaded, scaling, answers),
    )
    return _watched(subject, first[:_WATCHED])


def _fed(
    loaded: Loaded, data: RealData, interface: Interface, first: Tensor
) -> tuple[Loaded, Scaling, list[str]]:
    """The model reduced to its scores, its scaling, and notes about both."""
    scaling = interface.scaling
    if scaling is not None:
        check_channels(scaling, data.image_shape[0])
    elif loaded.format == "safetensors":
        scaling = Scaling()
    tried = usual(data) if scaling is None else [scaling]
    loaded = pick(loaded, [each(first) for each in tried], data.n_classes, interface.output)
    notes = [f"The audit reads its output “{loaded.output}”."] if loaded.output is not None else []
    if scaling is not None:
        return loaded, scaling, notes

    def right(scaling: Scaling, split: Labelled) -> Tensor:
        parts = in_batches(split, batch_for(split.image_shape))
        found = [_outputs_of(loaded, scaling(part)).argmax(1) for part in parts]
        return torch.cat(found) == split.labels

    scaling, said = best_read(right, tried, data)
    return loaded, scaling, [*notes, *said]


def _differentiable(
    loaded: Loaded, scaling: Scaling, answers: Answers, images: Tensor
) -> tuple[nn.Module | None, list[str]]:
    """A module from images in [0, 1] to logits, and notes; None for a black box."""
    if not isinstance(loaded.model, nn.Module):
        return None, []
    plain = scaling == Scaling() and answers != "probabilities"
    module = loaded.model if plain else Adapted(loaded.model, scaling, answers)
    with asking(images):
        if has_gradient(module, images):
            return module, []
    return None, [
        "No gradient passes through it (detach(), no_grad(), integer or 8-bit layers), "
        "so only the black-box attacks run."
    ]


def _watched(subject: Subject, images: Tensor) -> Subject:
    """The same model, called so that each answer depends on its image alone."""
    ask = subject.answer
    try:
        manner = manner_of(ask, images)
    except Exception:
        return subject  # the audit's first part meets this error and reports it
    return replace(
        subject,
        manner=manner,
        warnings=(*subject.warnings, *manner.cautions),
        answer=lambda shown: settled(ask, manner, shown),
    )


def _before_squashing(loaded: Loaded, example: Tensor) -> tuple[Loaded, list[str]]:
    """The model without its softmax or sigmoid, if the logits can be reached."""
    if not isinstance(loaded.model, nn.Module) or loaded.format == "safetensors":
        return loaded, []
    model = original(loaded.model)
    reached = before_softmax(model, example.to(device_of(model), float_type(model)))
    if reached is None:
        return loaded, []
    said = f"It returns the {reached.squashing} of its logits; the audit reads the logits instead"
    if reached.squashing == "sigmoid":
        said += ", and takes their softmax as the confidence"
    return replace(loaded, model=reached), [f"{said}."]


def _rubbish(loaded: Loaded, declared: int | None, n_classes: int, n_outputs: int) -> int | None:
    """The checked rubbish class; also checks the number of outputs."""
    if n_outputs < n_classes:
        raise InputError(
            f"model: expected at least {n_classes} outputs, one for each of the data's classes, "
            f"got {n_outputs}"
        )
    rubbish = loaded.rubbish_class if declared is None else declared
    if rubbish is not None and not n_classes <= rubbish < n_outputs:
        raise InputError(
            f"rubbish_class: expected an output after the data's {n_classes} classes and "
            f"below {n_outputs}, got {rubbish}"
        )
    return rubbish


def _found(n_outputs: int, rubbish: int | None, answers: Answers, n_classes: int) -> list[str]:
    """Notes on the outputs."""
    said = []
    if rubbish is None and n_outputs == n_classes + 1:
        said.append(
            "It has one output more than the data has classes. If that is a rubbish class, pass "
            f"--rubbish-class {n_classes}."
        )
    if answers != "logits":
        taken = "them" if answers == "log-probabilities" else "their logarithm"
        said.append(
            f"It returns {answers}. The audit takes {taken} for the logits, and leaves out energy "
            "and the greatest logit, which then mean nothing."
        )
    return said


def _outputs_of(loaded: Loaded, images: Tensor) -> Tensor:
    """The model's own outputs (N, K). Raises `InputError` if they are not scores."""
    with asking(images):
        if isinstance(loaded.model, nn.Module):
            return rows(logits_of(loaded.model, images), len(images))
        return rows(loaded.model(images.clone()), len(images))  # some models work in place
