"""`fool`: optimise images until a frozen classifier is sure of them. The one image loop."""

from collections.abc import Callable, Collection, Iterable, Sequence

import torch
from torch import Tensor, nn

from deceive.common import arguments, processes
from deceive.common.errors import NoGradientWarning, warn
from deceive.common.levels import UNIT, Bounds, Shape
from deceive.fooling import checked
from deceive.fooling.ascent import Ascent
from deceive.fooling.batch import Entrance
from deceive.fooling.climber import Climber
from deceive.fooling.ledger import Ledger
from deceive.fooling.objectives import Objective
from deceive.fooling.result import FoolingResult, Progress
from deceive.fooling.starts import starts_of
from deceive.networks.frozen import FrozenCopy


@arguments.taking(
    ascent=arguments.maybe(arguments.of("an Ascent", Ascent)),
    objective=arguments.name_or_function,
    bounds=arguments.pair,
    shape=arguments.maybe(arguments.shape),
    trajectory=arguments.steps,
    callback=arguments.maybe(arguments.function),
)
@torch.inference_mode(False)  # inference mode has no gradients
def fool(
    model: nn.Module | FrozenCopy,
    targets: int | Iterable[int] | Tensor,
    *,
    confidence: float | Sequence[float] = 0.99,
    count: int = 1,
    start: str | Tensor = "uniform",
    seed: int = 0,
    steps: int = 1000,
    ascent: Ascent | None = None,
    objective: str | Objective = "log_odds",
    bounds: Bounds = UNIT,
    shape: Shape | None = None,
    chunk: int = 250,
    trajectory: bool | Collection[int] = False,
    callback: Callable[[Progress], None] | None = None,
) -> FoolingResult:
    """Optimise images until `model` takes each one for its target with the asked confidence.

    A step follows the gradient g of the objective, with momentum (Dong et al. 2018, before their
    sign): v ← momentum · v + g / mean|g|, image ← image + step_size · r(t) · v after t steps,
    clamped to the bounds; pixels held back by a bound don't count in g and v. Since r(t) grows from
    1 to 4 over 30 steps, and then falls as 1 / √t, most images stay near where they began, and the
    few that resist are pushed harder, then more gently. (An `ascent` can step in other ways:
    `Ascent(rule="polyak")` takes about half as many steps, and moves images a little further.) From
    noise, that gives the fooling images of Nguyen, Yosinski and Clune (2015). An image leaves the
    batch as soon as it fools *as its PNG will hold it*, rounded to 8 bits and read in float32, and
    the next one takes its place. The model isn't changed: a frozen copy does the work. With several
    processes (`processes.join`), each optimises its share of the images, and all get the whole
    result.

    >>> import torch
    >>> from torch import nn
    >>> from deceive import fool
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    >>> halves = torch.eye(2).repeat_interleave(8, 1)  # class 0: the upper half is bright
    >>> _ = network[1].weight.data.copy_(halves)
    >>> result = fool(network, [0, 1], count=5, shape=(1, 4, 4))
    >>> result
    FoolingResult(10 candidates, 10 fooled, median steps 11)
    >>> result.levels.shape, bool((result.confidence >= 0.99).all())
    (torch.Size([10, 1, 4, 4]), True)

    Args:
        model: images (N, C, H, W) within `bounds` in, logits (N, K) out, on any device; or a
            frozen copy of one, which then does the work itself.
        targets: class indices; each gets `count` images, which follow one another in the result. A
            rubbish class can be one: a model doesn't say which of its outputs that is.
        confidence: softmax probability of the target to reach, in (0, 1). With several, in
            ascending order, images are optimised to the last; `FoolingResult.waypoints` holds each
            image as it was when it first reached each lower one.
        count: images per target.
        start: a name from `starts.STARTS`, or images of your own, (N, C, H, W) within the bounds
            for as many as are wanted, or (1, C, H, W) for all of them.
        seed: for the starts, where each image has a random generator of its own, and for the
            noise of the ascent.
        steps: the most steps an image may take.
        ascent: how an image climbs; by default as above.
        objective: a name from `objectives.OBJECTIVES`, or a function of logits (N, K) and targets
            (N,) that gives one scalar per image, (N,).
        bounds: the least and the greatest value of a pixel.
        shape: (C, H, W) of an image if `start` is a name; by default the model's
            `image_shape`, or MNIST's (1, 28, 28).
        chunk: how many images are optimised at once; bounds the memory.
        trajectory: keep every step of every image, or only those numbers of steps and the last.
        callback: called with a `Progress` after every step of the batch; with several processes,
            about this process's share.

    Raises:
        InputError: a `ValueError`, for anything out of range, and for a model that does not give
            finite logits (N, K) with a gradient.

    Warns:
        UserWarning: when the model returns probabilities.
        UnsteadyWarning: when the model's answers vary between calls or depend on the rest of the
            batch; a `UserWarning`.
        NoGradientWarning: when candidates have stalled (`FoolingResult.stalled`); a `UserWarning`.
    """
    asked, bounds = checked.confidences(confidence), checked.bounds(bounds)
    checked.sizes(steps, chunk, seed)
    size = checked.shape(shape, model, start)
    wanted = checked.targets(targets, count, size)
    starts = starts_of(start, len(wanted), size, seed, bounds)
    net = checked.frozen(model, starts, wanted, bounds)
    wanted, ascent = wanted.to(net.device), ascent or Ascent()
    goal = checked.goal(ascent, asked[-1], objective)
    climber = Climber(net, ascent, checked.objective(objective), bounds, steps, goal)
    entrance = Entrance(starts, wanted, ascent, seed)
    ledger = Ledger(net, wanted, asked, bounds, checked.frames(trajectory, steps))

    waiting, batch = ledger.mine, entrance.batch(range(0))
    while batch or waiting:
        if new := waiting[: chunk - len(batch)]:
            batch, waiting = batch + entrance.batch(new), waiting[len(new) :]
        ledger.film(batch)

        # An image that seems to fool, or is out of steps, is checked as a PNG will hold it.
        due = spent = batch.taken >= steps
        look = None if spent.all() else climber.look(batch)
        if look is not None:
            due = spent | (climber.confidence(batch, look) >= ledger.asked[batch.passed])
        ledger.enter(batch, due)
        staying = ~due | (~spent & (batch.passed < len(asked)))

        # The others take a step.
        batch = climber.step(batch, look, staying) if staying.any() else batch.where(staying)
        progress = ledger.count(left=int((~staying).sum()), stepped=len(batch))
        if callback is not None:
            callback(progress)

    result = ledger.result()
    if result.caution is not None and processes.here().is_main:
        warn(result.caution, NoGradientWarning)
    return result
