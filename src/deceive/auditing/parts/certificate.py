"""What can be proved of the model: that nothing near garbage makes it sure of a class."""

import math
from dataclasses import dataclass

from torch import nn

from deceive.auditing.context import Context
from deceive.auditing.garbage import GARBAGE, GarbageImages
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.subject import Adapted, Subject
from deceive.auditing.parts.part import Part
from deceive.auditing.record.measured import Certificate, Proved
from deceive.auditing.record.rows import CertificateRow
from deceive.certifying.core import certify
from deceive.certifying.rules import Scale
from deceive.common.errors import InputError
from deceive.common.progress import Tick
from deceive.data.dataset import in_batches
from deceive.networks.inference import batch_for

EPSILONS = (0.1, 0.3)
"""How far around garbage it is to hold: the greatest change of a pixel."""

# A bound takes as long as some twenty questions: it is worked out for one in so many images, for no
# more values than these, and for at least ten images.
_OF_THEM, _VALUES, _LEAST = 4, 400_000, 10

_AT_ONCE = 50


@dataclass(frozen=True)
class CertificatePart:
    """Interval bounds around every kind of garbage that is not optimised."""

    name: str = "certificate"
    words: str = "what can be proved"

    def run(self, context: Context, tick: Tick) -> CertificateRow:
        """Bound the model's confidence; if that is impossible, say why."""
        threshold, proved = context.settings.confidence, []
        try:
            network = bounded(context.subject)
            for number, kind in enumerate(GARBAGE):
                proved += _of_kind(context, network, kind, number, tick)
            reason = None
        except InputError as error:
            proved, reason = [], str(error).partition(": ")[2]
        found = Certificate(threshold=threshold, reason=reason, proved=proved)
        return CertificateRow(part=self.name, certificate=found)


def certificate_parts(context: Context) -> list[Part]:
    """The part, if it is asked for."""
    return [CertificatePart()] if context.settings.certify else []


def bounded(subject: Subject) -> nn.Module:
    """The model as layers that can be bounded, images in [0, 1] in and logits out.

    Raises `InputError` for a black box, and where scores become logits by more than a softmax.
    """
    model, scaling = subject.module, subject.scaling
    if model is None:
        raise InputError(
            "model: expected a torch module, whose layers can be followed, got a black box"
        )
    if not isinstance(model, Adapted):
        return model
    if not model.reading.only_moves:
        raise InputError(
            "model: expected logits, got scores of another kind, which are turned into logits"
        )
    if scaling == Scaling():
        return model.model
    (low, high), channels = scaling.bounds, subject.image_shape[0]
    mean, std = scaling.mean or (0.0,), scaling.std or (1.0,)
    front = Scale(high - low, low, mean * (channels // len(mean)), std * (channels // len(std)))
    return nn.Sequential(front, model.model)


def _own_number(subject: Subject) -> int | None:
    """The model's own number of its rubbish class."""
    order = subject.module.reading.order if isinstance(subject.module, Adapted) else None
    rubbish = subject.rubbish_class
    return rubbish if rubbish is None or order is None else order[rubbish]


def _of_kind(
    context: Context, network: nn.Module, kind: str, number: int, tick: Tick
) -> list[Proved]:
    """What is proved of a kind of garbage, at every distance."""
    settings, rubbish = context.settings, _own_number(context.subject)
    few = min(settings.garbage_images // _OF_THEM, _VALUES // math.prod(context.data.image_shape))
    count = min(settings.garbage_images, max(_LEAST, few))
    images = GarbageImages(kind, count, context.data.test, settings.seed)
    proved = dict.fromkeys(EPSILONS, 0)
    done = 0
    for batch in in_batches(images, batch_for(context.data.image_shape, _AT_ONCE)):
        left = batch
        for epsilon in EPSILONS:  # what isn't proved of a small ball isn't of a large one
            if len(left):
                proof = certify(
                    network,
                    left,
                    epsilon,
                    threshold=settings.confidence,
                    rubbish_class=rubbish,
                )
                left = left[proof.certified]
            proved[epsilon] += len(left)
        done += len(batch)
        tick(number * count + done, count * len(GARBAGE))
    return [
        Proved(kind=kind, epsilon=epsilon, images=count, share=each / count)
        for epsilon, each in proved.items()
    ]
