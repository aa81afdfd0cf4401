"""A guarded network as a function of what its classifier has said, for tracing."""

from torch import Tensor, nn

from deceive.auditing.models.readings import Reading
from deceive.common.errors import InputError
from deceive.guarding.model import GuardedModel, answers_to
from deceive.guarding.readers import Reader
from deceive.networks.guarded import Guarded
from deceive.storage.export import with_plain_stems

OUTPUTS = ("none_of_these", "confidence", "guarded_class", "passes")
"""What the file gives beside what the classifier gives, each (N,): the probability that the image
shows none of the classes, the greatest probability of a class, that class (int64), and whether the
image passes (bool)."""


class Door:
    """A guarded classifier's guard: images and the classifier's scores in, `OUTPUTS` out.

    Args:
        guarded: the guarded classifier.
        reading: how the classifier's scores become logits.

    Raises:
        InputError: when the classifier is asked in several places, about moved images.
    """

    def __init__(self, guarded: GuardedModel, reading: Reading) -> None:
        network, reader = guarded.network, guarded.network.readers[0]
        assert isinstance(reader, Reader)
        if network.shifts:
            raise InputError("the guard asks the classifier about moved images too")
        self._reading, self._reader, self._threshold = reading, reader, guarded.threshold
        self._heard = _Heard()
        self._network = Guarded(
            with_plain_stems(network.guard),  # type: ignore[arg-type]
            [self._heard],
            doubt=network.doubt.item(),
            guard_doubt=network.guard_doubt,
            detector=None if network.detector is None else with_plain_stems(network.detector),  # type: ignore[arg-type]
            image_shape=network.image_shape,
        ).eval()

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, ...]:
        """`OUTPUTS` of images (N, C, H, W) in [0, 1], and of the scores that they got."""
        self._heard.logits = self._reader.read(self._reading(scores))
        classes, confidence, none, passes = answers_to(self._network(images), self._threshold)
        return none, confidence, classes, passes


class _Heard(nn.Module):
    """A reader that has been asked already."""

    logits: Tensor

    def forward(self, images: Tensor) -> Tensor:
        return self.logits
