"""`draw`: the image loop over a whole schedule, from fresh noise, with a network of the rounds."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.levels import from_levels
from deceive.common.seeds import generator_for
from deceive.fooling.fool import FoolingResult, Progress, Trajectory, fool
from deceive.fooling.rules import Ascent, Schedule
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Network
from deceive.networks.inference import BATCH, confidence_of

# How the shipped `draw` network was taught, and so how it draws.
DRAWING = Ascent(
    rule="sign",
    momentum=0,
    step_size=0.18,
    noise=1,
    schedule=Schedule(steps=20, least_noise=0.03, noise_power=1.5),
)

# How it is polished: along the gradient itself, which unlike its sign hardly moves what is right
# already, in tiny steps, in noise that falls once more. Chosen as what follows.
POLISH = Ascent(
    rule="momentum",
    momentum=0,
    step_size=0.0025,
    noise=0.8,
    schedule=Schedule(steps=10, least_noise=0.2),
)

# With which confidence, in how much noise, an image is accepted, and how often it may be drawn.
# Chosen on training and validation images (docs/rounds.md); 0.5 is all that there is to be had, as
# a network can't tell its best images from digits.
ACCEPTED, ATTEMPTS = 0.45, 3
_IN_NOISE = 0.3

# Between the seeds of an image's attempts, and of an attempt and its polishing.
_APART, _POLISHED = 10_000_019, 5_000_011


@arguments.taking(
    network=arguments.module,
    polish=arguments.maybe(arguments.of("an Ascent or None", Ascent)),
    ascent=arguments.of("an Ascent", Ascent),
    trajectory=arguments.flag,
)
def draw(
    network: Network,
    targets: int | Iterable[int] | Tensor,
    *,
    count: int = 1,
    start: str | Tensor = "uniform",
    seed: int = 0,
    polish: Ascent | None = POLISH,
    accepted: float | None = ACCEPTED,
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

    Two things make them better. Images are polished: a few steps more, tiny ones along the gradient
    itself. Then the network is asked about each once more, in noise of 0.3 and knowing so. One that
    gets less than the accepted confidence is drawn again, from other noise; in the end the attempt
    that got most is taken (rejection by the network's own say, as in Azadi et al. 2019).

    Args:
        network: images in, logits out; best the one that `ascent` was taught to.
        targets: class indices; each gets `count` images, which follow one another in the result.
        count: images a target.
        start: as `fool` takes it; the network was taught to go on from uniform noise.
        seed: image number i of a seed is the same however many there are.
        polish: how those steps climb, over a schedule of its own; None leaves them out.
        accepted: a confidence in (0, 1), over all outputs; None takes every image as it comes.
        attempts: how often an image may be drawn; where `start` is a tensor the noise alone is new.
        ascent: how images climb; it needs a schedule.
        chunk: how many images are drawn at once; bounds the memory.
        trajectory: keep every step of every image.
        callback: called with a `Progress` after every step of the batch, of those that are drawn.

    Raises:
        InputError: for an ascent or a polish without a schedule, and whatever `fool` raises.
    """
    for name, one in (("ascent", ascent), ("polish", polish)):
        if one is not None and one.schedule is None:
            raise InputError(f"{name}: expected one with a schedule, got none")
    checks.at_least("attempts", attempts, 1, checks.MOST)
    checks.seed("seed", seed, checks.SEEDS)
    if accepted is not None:
        checks.open_interval("accepted", accepted, 0, 1)
    attempted = partial(
        _attempted,
        network,
        polish=polish,
        ascent=ascent,
        chunk=chunk,
        trajectory=trajectory,
        callback=callback,
    )
    drawn = attempted(targets, count=count, start=start, seed=seed)
    if accepted is None:
        return drawn
    believed = _believed(network, drawn, seed)
    for attempt in range(1, attempts):
        doubtful = (believed < accepted).nonzero()[:, 0]
        if len(doubtful) == 0:
            break
        other_seed = seed + _APART * attempt
        again = attempted(
            drawn.targets[doubtful],
            start=start[doubtful] if isinstance(start, Tensor) and len(start) > 1 else start,
            seed=other_seed,
        )
        of_those = _believed(network, again, other_seed)
        better = of_those > believed[doubtful]
        believed[doubtful[better]] = of_those[better]
        drawn = _with(drawn, doubtful[better], again, better)
    return drawn


def _attempted(
    network: Network,
    targets: int | Iterable[int] | Tensor,
    *,
    count: int = 1,
    start: str | Tensor,
    seed: int,
    polish: Ascent | None,
    ascent: Ascent,
    chunk: int,
    trajectory: bool,
    callback: Callable[[Progress], None] | None,
) -> FoolingResult:
    """Each image drawn once."""
    climb = partial(
        fool, network, confidence=None, chunk=chunk, trajectory=trajectory, callback=callback
    )
    assert ascent.schedule is not None
    drawn = climb(
        targets, count=count, start=start, seed=seed, steps=ascent.schedule.steps, ascent=ascent
    )
    if polish is None:
        return drawn
    assert polish.schedule is not None
    further = climb(
        drawn.targets,
        start=drawn.images,
        seed=seed + _POLISHED,
        steps=polish.schedule.steps,
        ascent=polish,
    )
    ways = None
    if drawn.trajectories is not None and further.trajectories is not None:
        ways = tuple(
            Trajectory(*(torch.cat([a, b[1:]]) for a, b in zip(way, end, strict=True)))
            for way, end in zip(drawn.trajectories, further.trajectories, strict=True)
        )
    return replace(further, steps=drawn.steps + further.steps, trajectories=ways)


def _believed(network: Network, drawn: FoolingResult, seed: int) -> Tensor:
    """The confidence (N,) in each image, in noise that it draws from a generator of its own."""
    net, confidences = FrozenCopy(network, drawn.images[:1]), []
    for part in torch.split(torch.arange(len(drawn)), BATCH):
        noise = [
            torch.randn(drawn.levels.shape[1:], generator=generator_for(seed, number, "belief"))
            for number in part.tolist()
        ]
        noisy = from_levels(drawn.levels[part]) + _IN_NOISE * torch.stack(noise)
        with torch.no_grad():
            logits = net.logits(
                noisy.to(net.device), torch.full((len(part),), _IN_NOISE, device=net.device)
            )
        confidences.append(confidence_of(logits, drawn.targets[part].to(net.device)).cpu())
    return torch.cat(confidences)


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
