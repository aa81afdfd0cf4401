"""`draw`: the image loop over a whole schedule, from fresh noise, with a network of the rounds."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from torch import Tensor

from deceive import checks
from deceive.errors import InputError
from deceive.fooling import FoolingResult, Progress, fool
from deceive.inference import logits_of
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

# How sure it is to be of what it has drawn, and how often it may try. Chosen on the validation
# images: more of either makes the images cleaner than real ones, and less varied.
SURE, ATTEMPTS = 0.999, 3

# Between the seeds of an image's attempts.
_APART = 10_000_019


def draw(
    network: Classifier,
    targets: int | Iterable[int] | Tensor,
    *,
    count: int = 1,
    start: str | Tensor = "uniform",
    seed: int = 0,
    sure: float | None = SURE,
    attempts: int = ATTEMPTS,
    ascent: Ascent = DRAWING,
    chunk: int = 250,
    trajectory: bool = False,
    callback: Callable[[Progress], None] | None = None,
) -> FoolingResult:
    """Draw images of the targets from uniform noise, by deceiving `network` and nothing else.

    It is `fool` over the ascent's whole schedule: noise that hides all but what is large falls
    step by step. With a network that went through the rounds what comes of it are digits; with any
    other it is static.

    Then the network reads what it has drawn, without noise. An image that it isn't sure of, as
    against the other classes, is drawn again from other noise, and whichever attempt it is surest
    of is kept (rejection by the network's own say, as Azadi et al. 2019).

    Args:
        network: images in, logits out; best the one that `ascent` was taught to. Its last output
            stands for rubbish.
        targets: class indices; each gets `count` images, which follow one another in the result.
        count: images a target.
        start: as `fool` takes it; the network was taught to go on from uniform noise.
        seed: image number i of a seed is the same however many there are.
        sure: the probability of the target among the classes that an image has to have, in (0, 1);
            None takes every image as it comes.
        attempts: how often an image may be drawn; where `start` is a tensor the noise alone is new.
        ascent: how images climb; it needs a schedule.
        chunk: how many images are drawn at once; bounds the memory.
        trajectory: keep every step of every image.
        callback: called with a `Progress` after every step of the batch, of those that are drawn.

    Raises:
        InputError: for an ascent without a schedule, and whatever `fool` raises.
    """
    if ascent.schedule is None:
        raise InputError("ascent: expected one with a schedule, got none")
    checks.at_least("attempts", attempts, 1)
    if sure is not None:
        checks.open_interval("sure", sure, 0, 1)
    climbed = partial(
        fool,
        network,
        confidence=None,
        steps=ascent.schedule,
        ascent=ascent,
        chunk=chunk,
        trajectory=trajectory,
        callback=callback,
    )
    drawn = climbed(targets, count=count, start=start, seed=seed)
    if sure is None:
        return drawn
    certainty = _certainty(network, drawn)
    for attempt in range(1, attempts):
        unsure = (certainty < sure).nonzero()[:, 0]
        if len(unsure) == 0:
            break
        again = climbed(
            drawn.targets[unsure],
            start=start[unsure] if isinstance(start, Tensor) and len(start) > 1 else start,
            seed=seed + _APART * attempt,
        )
        its = _certainty(network, again)
        better = its > certainty[unsure]
        certainty[unsure[better]] = its[better]
        drawn = _with(drawn, unsure[better], again, better)
    return drawn


def _certainty(network: Classifier, drawn: FoolingResult) -> Tensor:
    """Probabilities (N,) of the targets among all outputs but the last, which is rubbish."""
    logits = logits_of(network, drawn.images)[:, :-1].cpu()
    if drawn.targets.max() >= logits.shape[1]:
        raise InputError(
            f"targets: expected classes 0 to {logits.shape[1] - 1}, as the last output is rubbish, "
            f"got {int(drawn.targets.max())}"
        )
    return logits.softmax(1).gather(1, drawn.targets[:, None])[:, 0]


def _with(
    drawn: FoolingResult, places: Tensor, again: FoolingResult, chosen: Tensor
) -> FoolingResult:
    """The images at these places (n,) are those chosen (m,) bool of others."""
    changed = {}
    for name in ("levels", "confidence", "fooled", "steps"):
        values = getattr(drawn, name).clone()
        values[places] = getattr(again, name)[chosen]
        changed[name] = values
    trajectories = drawn.trajectories
    if trajectories is not None and again.trajectories is not None:
        theirs = (again.trajectories[i] for i in chosen.nonzero()[:, 0].tolist())
        by_place = dict(zip(places.tolist(), theirs, strict=True))
        trajectories = tuple(by_place.get(i, way) for i, way in enumerate(trajectories))
    return replace(drawn, **changed, trajectories=trajectories)
