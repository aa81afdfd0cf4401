"""`draw`: the image loop over a whole schedule, from fresh noise, with a network of the rounds."""

from collections.abc import Callable, Iterable

from torch import Tensor

from deceive.errors import InputError
from deceive.fooling import FoolingResult, Progress, fool
from deceive.networks import Classifier
from deceive.rules import Ascent

# How the shipped `draw` network was taught, and so how it draws.
DRAWING = Ascent(
    rule="sign",
    momentum=0,
    step_size=0.18,
    noise=1,
    least_noise=0.03,
    noise_power=1.5,
    schedule=20,
)


def draw(
    network: Classifier,
    targets: int | Iterable[int] | Tensor,
    *,
    count: int = 1,
    start: str | Tensor = "uniform",
    seed: int = 0,
    ascent: Ascent = DRAWING,
    chunk: int = 250,
    trajectory: bool = False,
    callback: Callable[[Progress], None] | None = None,
) -> FoolingResult:
    """Draw images of the targets from uniform noise, by deceiving `network` and nothing else.

    It is `fool` over the ascent's whole schedule: noise that hides all but what is large falls
    step by step. With a network that went through the rounds what comes of it are digits; with any
    other it is static.

    Args:
        network: images in, logits out; best the one that `ascent` was taught to.
        targets: class indices; each gets `count` images, which follow one another in the result.
        count: images a target.
        start: as `fool` takes it; the network was taught to go on from uniform noise.
        seed: image number i of a seed is the same however many there are.
        ascent: how images climb; it needs a schedule.
        chunk: how many images are drawn at once; bounds the memory.
        trajectory: keep every step of every image.
        callback: called with a `Progress` after every step of the batch.

    Raises:
        InputError: for an ascent without a schedule, and whatever `fool` raises.
    """
    if ascent.schedule is None:
        raise InputError("ascent: expected one with a schedule, got none")
    return fool(
        network,
        targets,
        confidence=None,
        count=count,
        start=start,
        seed=seed,
        steps=ascent.schedule,
        ascent=ascent,
        chunk=chunk,
        trajectory=trajectory,
        callback=callback,
    )
