"""A model's first run on the data, to detect what isn't declared."""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from deceive.auditing.models.columns import arranged, outputs_of, read_as, rubbish_of
from deceive.auditing.models.flat_order import BY_PIXEL, orders_of
from deceive.auditing.models.gradients import differentiable
from deceive.auditing.models.interface import FOUND_OUT, Interface, Scaling, check_channels
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.outputs import pick
from deceive.auditing.models.readings import Reading
from deceive.auditing.models.remarks import CONSTANT, is_constant, of_outputs
from deceive.auditing.models.scaling import SAMPLE, Read, best_read, usual
from deceive.auditing.models.subject import Adapted, Subject, answering
from deceive.auditing.shares import share_of
from deceive.data.dataset import Labelled, RealData, Split, in_batches
from deceive.networks.inference import batch_for
from deceive.networks.steadiness import STEADY, manner_of, settled

# Validation images that reveal the kind of outputs; of a slow model fewer.
_FIRST, _FIRST_OF_SLOW = 32, 8

# Images for checking that answers are repeatable; of a slow model fewer, asked about less often.
_WATCHED, _WATCHED_OF_SLOW, _ASKED_OF_SLOW = 8, 2, 2


def meet(
    loaded: Loaded,
    data: RealData,
    interface: Interface = FOUND_OUT,
    *,
    sample: int = SAMPLE,
    thorough: bool = True,
) -> Subject:
    """Run a model on the data for the first time, and detect what its interface leaves open.

    Args:
        loaded: the model.
        data: its classes are the model's first outputs, unless the names of both say otherwise.
        interface: what is declared about the model. The default scaling is [0, 1] for our own
            networks, and for others the usual scaling that they read best with.
        sample: how many validation images each scaling is tried on.
        thorough: whether close scalings are tried on all validation images, and the same is asked
            many times to see whether answers vary; pass False for a slow model.

    Raises:
        InputError: when the model does not turn images of the data's shape into outputs (N, K)
            with K at least the number of classes (or one, for two classes), or doesn't fit what is
            declared.
    """
    count = min(_FIRST if thorough else _FIRST_OF_SLOW, batch_for(data.image_shape))
    first = data.validation.read(slice(max(2, count)))
    tried = _scalings(loaded, data, interface)
    found = pick(loaded, [each(first) for each in tried], data.n_classes, interface.output)
    loaded, n_outputs = found.loaded, found.scores.shape[1]
    reading, notes = arranged(found, data, interface.class_names)
    rubbish = rubbish_of(loaded, interface.rubbish_class, data.n_classes, n_outputs, reading)
    loaded, scaling, said = _best(loaded, reading, tried, data, sample, thorough=thorough)
    notes += said
    if is_constant(found.scores) and is_constant(outputs_of(loaded, scaling(first))):
        notes.append(CONSTANT.format(len(first)))
    loaded, reading, said = read_as(loaded, reading, scaling(first), rubbish)
    notes += [*said, *of_outputs(reading, n_outputs, data.n_classes, rubbish)]
    plain = scaling == Scaling() and reading.is_plain and found.is_flat
    module, said = None, []
    if isinstance(loaded.model, nn.Module):
        adapted = loaded.model if plain else Adapted(loaded.model, scaling, reading)
        module, said = differentiable(adapted, first[:2])
    subject = Subject(
        loaded=loaded,
        scaling=scaling,
        image_shape=data.image_shape,
        n_classes=data.n_classes,
        n_outputs=reading.count(n_outputs),
        rubbish_class=n_outputs if reading.none_of_them else rubbish,
        answers=reading.answers,
        reading=reading,
        module=module,
        notes=(*notes, *said),
        warnings=(),
        manner=STEADY,
        answer=answering(loaded, scaling, reading),
    )
    # Our own networks are steady.
    watched = thorough and loaded.format != "safetensors"
    return _watched(subject, first, thorough=watched)


def _scalings(loaded: Loaded, data: RealData, interface: Interface) -> list[Scaling]:
    """The scalings to try: the declared one alone, if there is one."""
    scaling = interface.scaling
    if scaling is not None:
        check_channels(scaling, data.image_shape[0])
        return [scaling]
    return [Scaling()] if loaded.format == "safetensors" else usual(data)


def _best(
    loaded: Loaded,
    reading: Reading,
    tried: list[Scaling],
    data: RealData,
    sample: int,
    *,
    thorough: bool,
) -> tuple[Loaded, Scaling, list[str]]:
    """The model in the order of flat images, and the scaling, that it reads best; and notes."""

    def read(loaded: Loaded, scaling: Scaling, split: Labelled) -> Read:
        parts = in_batches(split, batch_for(split.image_shape))
        scores = torch.cat([outputs_of(loaded, scaling(part)) for part in parts])
        right = reading.classes(scores) == split.labels
        return Read(right, reading.losses(scores, split.labels))

    def scaled(loaded: Loaded) -> tuple[Scaling, list[str]]:
        if len(tried) == 1:
            return tried[0], []
        return best_read(partial(read, loaded), tried, data, sample=sample, thorough=thorough)

    plain, *others = ((each, *scaled(each)) for each in orders_of(loaded, data.image_shape[0]))
    if not others:
        return plain
    some = Split(data.validation.read(slice(sample)), data.validation.labels[:sample])
    ((by_pixel, scaling, notes),) = others
    share = share_of(read(*plain[:2], some).right)
    other = share_of(read(by_pixel, scaling, some).right)
    if other <= share:
        return plain
    return by_pixel, scaling, [BY_PIXEL.format(other, len(some), share), *notes]


def _watched(subject: Subject, images: Tensor, *, thorough: bool) -> Subject:
    """The same model, called so that each answer depends on its image alone."""
    ask = subject.answer
    try:
        if thorough:
            manner = manner_of(ask, images[:_WATCHED])
        else:
            manner = manner_of(ask, images[:_WATCHED_OF_SLOW], _ASKED_OF_SLOW)
    except Exception:
        return subject  # the audit's first part meets this error and reports it
    return replace(
        subject,
        manner=manner,
        warnings=(*subject.warnings, *manner.cautions),
        answer=lambda shown: settled(ask, manner, shown),
    )
