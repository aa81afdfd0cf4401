"""Untrained networks by name."""

from typing import NamedTuple

from deceive.common import checks
from deceive.common.levels import Shape
from deceive.networks.architectures import ARCHITECTURES
from deceive.networks.classifier import MNIST_MEAN, MNIST_STD, Classifier
from deceive.networks.coarse_to_fine import CoarseToFine
from deceive.networks.guarded import Guarded, Network, Shifts
from deceive.networks.mixture import Mixture


class Composition(NamedTuple):
    """What a `Guarded` network is built from: names from `ARCHITECTURES`, and where to ask."""

    guard: str
    readers: tuple[str, ...]
    shifts: Shifts
    mixture: bool = False
    """Whether a `Mixture` limits the guard."""


GUARDED = {
    "resist": Composition("guard", ("sharp", "sharp"), ((0, 0), (1, 1), (-1, -1))),
    "shaped": Composition("guard", (), (), mixture=True),
}

_ONE = CoarseToFine.architecture

PARTS = {"drawing": "draw", "resisting": "resist", "reading": "fast"}
"""What `one` is put together from: its attributes and their architectures. The network that is
asked in noise is another like the one that draws."""

NETWORKS = sorted([*ARCHITECTURES, *GUARDED, _ONE])
"""Names that `network_of` knows."""

TAUGHT = [name for name in NETWORKS if name not in ("shaped", _ONE)]
"""Those that the rounds can teach from the start. `guarding.training` has rounds of its own for
`shaped`, and `one` is put together from networks that were taught."""


def network_of(
    name: str,
    n_outputs: int = 10,
    image_shape: Shape = (1, 28, 28),
    *,
    mean: float = MNIST_MEAN,
    std: float = MNIST_STD,
) -> Network:
    """An untrained network with random weights.

        >>> from deceive.networks.building import network_of
        >>> network_of("resist", 11).readers[0].architecture
        'sharp'

    Args:
        name: from `NETWORKS`.
        n_outputs: the number of logits; for a guarded network and for `one` at least 3, the last
            for rubbish.
        image_shape: (C, H, W).
        mean: of the training images' pixels.
        std: their standard deviation.

    Raises:
        InputError: when there is no such network, or an argument is out of range.
    """
    checks.one_of("architecture", name, NETWORKS)
    if name in ARCHITECTURES:
        return Classifier(name, n_outputs, image_shape, mean=mean, std=std)
    checks.at_least("n_outputs", n_outputs, 3)
    if name == _ONE:
        in_noise, drawing = (
            Classifier(PARTS["drawing"], n_outputs, image_shape, mean=mean, std=std)
            for _ in range(2)
        )
        resisting = network_of(PARTS["resisting"], n_outputs, image_shape, mean=mean, std=std)
        reading = Classifier(PARTS["reading"], n_outputs - 1, image_shape, mean=mean, std=std)
        return CoarseToFine(in_noise, resisting, reading, drawing)
    made = GUARDED[name]
    guard = Classifier(made.guard, n_outputs, image_shape, mean=mean, std=std)
    readers = [
        Classifier(reader, n_outputs - 1, image_shape, mean=mean, std=std)
        for reader in made.readers
    ]
    mixture = Mixture(image_shape, n_outputs - 1) if made.mixture else None
    return Guarded(guard, readers, shifts=made.shifts, mixture=mixture, architecture=name)
