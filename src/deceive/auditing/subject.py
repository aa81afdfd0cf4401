"""What is audited: any model, made one of images in [0, 1] in and logits out.

From here on there are only such models: bounds, normalisation and probabilities are dealt with
once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from deceive.auditing.formats import Function, Loaded
from deceive.auditing.outputs import Kind, asking, kind_of, pick, rows
from deceive.auditing.scaling import FOUND_OUT, Interface, Scaling, best_read, check_channels, usual
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.data.loading import Dataset, Split
from deceive.networks.inference import BATCH, has_gradient, logits_of
from deceive.networks.modules import float_type, original
from deceive.networks.squashing import BeforeSoftmax, before_softmax, logs_of
from deceive.networks.steadiness import STEADY, Manner, manner_of, settled

# Validation images that reveal the kind of outputs.
_FIRST = 32

# Images for checking that answers are repeatable.
_WATCHED = 8


class Adapted(nn.Module):
    """A model with its scaling before it, and the logarithm of its probabilities after it."""

    def __init__(self, model: nn.Module, scaling: Scaling, answers: Kind) -> None:
        super().__init__()
        self.model, self._scaling, self._answers = model, scaling, answers

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]."""
        output: Tensor = self.model(self._scaling(images))
        return _as_logits(output, self._answers)


@dataclass(frozen=True, eq=False)
class Subject:
    """A model that has met the data: images (N, C, H, W) in [0, 1] in, logits (N, K) out."""

    loaded: Loaded
    scaling: Scaling
    image_shape: Shape
    n_classes: int
    """The data's classes are the model's first outputs."""
    n_outputs: int
    rubbish_class: int | None
    answers: Kind
    """What the model returns; converted to logits."""
    module: nn.Module | None
    """Differentiable; None for a black box."""
    notes: tuple[str, ...]
    """What was found out on the way, in sentences."""
    warnings: tuple[str, ...]
    """Reasons why the figures may be misleading, in sentences."""
    manner: Manner
    """Whether its answers are repeatable. `logits` makes them so, `module` doesn't."""
    _answer: Callable[[Tensor], Tensor]

    @property
    def name(self) -> str:
        """A short name to show."""
        return self.loaded.name

    def logits(self, images: Tensor) -> Tensor:
        """Logits (N, K) float32, on the CPU, worked out in float32; they may be NaN."""
        return torch.cat([self._answer(part) for part in torch.split(images, BATCH)])

    def accuracy(self, images: Tensor, labels: Tensor) -> float:
        """Share of images (N, C, H, W) that it reads correctly, ignoring its rubbish class."""
        right: Tensor = self.class_outputs(self.logits(images)).argmax(1) == labels
        return right.double().mean().item()

    def class_outputs(self, values: Tensor) -> Tensor:
        """Of outputs (N, K) those that stand for a class: all but the rubbish class."""
        if self.rubbish_class is None:
            return values
        return torch.cat(
            [values[:, : self.rubbish_class], values[:, self.rubbish_class + 1 :]], dim=1
        )


def meet(
    loaded: Loaded,
    data: Dataset,
    interface: Interface = FOUND_OUT,
) -> Subject:
    """Show a model its data for the first time, and find out what its interface leaves open.

    Args:
        loaded: the model.
        data: its labels are the model's first outputs.
        interface: what is declared of the model. Its scaling is by default [0, 1] for our own
            networks, and the usual scaling that they read best with for others.

    Raises:
        InputError: when the model does not turn images of the data's shape into outputs (N, K)
            with K at least the number of classes, returns a sigmoid per class, or doesn't fit what
            is declared.
    """
    scaling = interface.scaling
    if scaling is not None:
        check_channels(scaling, data.image_shape[0])
    elif loaded.format == "safetensors":
        scaling = Scaling()
    first = data.validation.images[:_FIRST]
    tried = usual(data) if scaling is None else [scaling]
    loaded = pick(loaded, [each(first) for each in tried], data.n_classes, interface.output)
    notes = [f"The audit reads its output “{loaded.output}”."] if loaded.output is not None else []
    if scaling is None:

        def right(scaling: Scaling, split: Split) -> Tensor:
            return _outputs_of(loaded, scaling(split.images)).argmax(1) == split.labels

        scaling, said = best_read(right, tried, data)
        notes += said
    loaded, said = _before_squashing(loaded, scaling(first[:2]))
    notes += said
    outputs = _outputs_of(loaded, scaling(first))
    rubbish = _rubbish(loaded, interface.rubbish_class, data.n_classes, outputs.shape[1])
    answers: Kind = "logits"  # even if what went into the softmax looks like probabilities
    if not isinstance(loaded.model, BeforeSoftmax):
        answers = kind_of(outputs)
    module = None
    if isinstance(loaded.model, nn.Module):
        plain = scaling == Scaling() and answers != "probabilities"
        module = loaded.model if plain else Adapted(loaded.model, scaling, answers)
    if module is not None and not _has_gradient(module, first[:2]):  # some need a batch of two
        module = None
        notes.append(
            "No gradient passes through it (detach(), no_grad(), integer or 8-bit layers), "
            "so only the black-box attacks run."
        )
    subject = Subject(
        loaded=loaded,
        scaling=scaling,
        image_shape=data.image_shape,
        n_classes=data.n_classes,
        n_outputs=outputs.shape[1],
        rubbish_class=rubbish,
        answers=answers,
        module=module,
        notes=(*notes, *_found(outputs.shape[1], rubbish, answers, data.n_classes)),
        warnings=(),
        manner=STEADY,
        _answer=_answering(loaded, scaling, answers),
    )
    return _watched(subject, first[:_WATCHED])


def _has_gradient(module: nn.Module, images: Tensor) -> bool:
    with asking(images):
        return has_gradient(module, images)


def _watched(subject: Subject, images: Tensor) -> Subject:
    """The same model, called so that each answer depends on its image alone."""
    ask = subject._answer
    try:
        manner = manner_of(ask, images)
    except Exception:
        return subject  # the audit's first part meets this error and reports it
    return replace(
        subject,
        manner=manner,
        warnings=(*subject.warnings, *manner.cautions),
        _answer=lambda shown: settled(ask, manner, shown),
    )


def _before_squashing(loaded: Loaded, example: Tensor) -> tuple[Loaded, list[str]]:
    """The model without its softmax or sigmoid, if the logits can be reached."""
    if not isinstance(loaded.model, nn.Module) or loaded.format == "safetensors":
        return loaded, []
    model = original(loaded.model)
    reached = before_softmax(model, example.to(float_type(model)))
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


def _found(n_outputs: int, rubbish: int | None, answers: Kind, n_classes: int) -> list[str]:
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


def _answering(loaded: Loaded, scaling: Scaling, answers: Kind) -> Callable[[Tensor], Tensor]:
    """A function from images in [0, 1] to logits."""

    def ask(images: Tensor) -> Tensor:
        scaled = scaling(images)
        if isinstance(loaded.model, nn.Module):
            return _as_logits(rows(logits_of(loaded.model, scaled), len(images)), answers)
        function: Function = loaded.model
        return _as_logits(rows(function(scaled.clone()), len(images)), answers)

    return ask


def _as_logits(outputs: Tensor, answers: Kind) -> Tensor:
    return logs_of(outputs) if answers == "probabilities" else outputs
