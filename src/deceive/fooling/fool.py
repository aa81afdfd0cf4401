"""`fool`: optimise images until a frozen classifier is sure of them. The one image loop."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from itertools import chain, compress, pairwise
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from deceive.common import arguments, checks, processes
from deceive.common.errors import InputError, NoGradientWarning, UnsteadyWarning, warn
from deceive.common.levels import Bounds, Shape, from_levels, to_levels
from deceive.common.seeds import generator_for
from deceive.fooling.objectives import OBJECTIVES, Objective
from deceive.fooling.rules import RULES, Ascent
from deceive.fooling.starts import STARTS, begin
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import confidence_of

# Batches of another size round differently in the last digits. An image that passes here must
# still pass when it is read back from its file and asked about alone.
SLACK = 1e-5

# A gradient below this counts as vanished: float32 holds it with fewer digits or as 0. A candidate
# stalls if it vanishes in this share of its pixels. A smaller share means nothing: with max
# pooling, or a model that looks at part of the image, most pixels have no gradient.
_LEAST, _FLAT = torch.finfo(torch.float32).tiny, 0.95


# Starts for testing repeatability, of different kinds: two of one kind have similar statistics.
_SHOWN = ("uniform", "squares")

# Batch size of the final measurement.
_AT_ONCE = 250


class Progress(NamedTuple):
    """Where a call of `fool` stands; its callback gets one after every step of the batch."""

    total: int
    finished: int
    fooled: int
    image_steps: int


class Trajectory(NamedTuple):
    """One image's way, start first: levels (F, C, H, W) uint8 and confidence (F,) of F frames."""

    levels: Tensor
    confidence: Tensor

    def __repr__(self) -> str:
        """In a line, without the tensors."""
        return f"Trajectory({len(self.levels)} frames)"


@dataclass(frozen=True)
class FoolingResult:
    """What became of N candidates, and of each one whether it is a fooling image.

    Attributes:
        levels: (N, C, H, W) uint8, the images as a PNG holds them.
        targets: (N,) int64, the class each one is to be taken for.
        confidence: (N,) float32, the softmax probability of the target, over all outputs, that
            the network gives the 8-bit image, computed in float32.
        fooled: (N,) bool, whether that is at least the confidence asked for.
        steps: (N,) int64, the steps taken until then, or until the budget was spent.
        stalled: (N,) bool, whether it is no fooling image because its gradient vanished at its last
            step: 0, or too small for float32, in nearly all pixels. That says nothing about how
            hard the model is to fool.
        bounds: what levels 0 and 255 stand for.
        trajectories: each image's way, or None when not asked for.
        waypoints: what became of the same candidates by each of the lesser confidences asked for.
    """

    levels: Tensor
    targets: Tensor
    confidence: Tensor
    fooled: Tensor
    steps: Tensor
    stalled: Tensor
    bounds: Bounds = (0.0, 1.0)
    trajectories: tuple[Trajectory, ...] | None = None
    waypoints: "tuple[FoolingResult, ...]" = ()

    def __len__(self) -> int:
        return len(self.targets)

    def __repr__(self) -> str:
        """In a line, without the tensors: `FoolingResult(10 candidates, 9 fooled, …)`."""
        said = [checks.counted(len(self), "candidate"), f"{int(self.fooled.sum()):,} fooled"]
        if self.median_steps is not None:
            said.append(f"median steps {self.median_steps:g}")
        if self.stalled.any():
            said.append(f"{int(self.stalled.sum()):,} stalled")
        return f"{type(self).__name__}({', '.join(said)})"

    @property
    def images(self) -> Tensor:
        """(N, C, H, W) float32 within the bounds: what the network is shown."""
        return from_levels(self.levels, self.bounds)

    @property
    def fooling_rate(self) -> float:
        """Share of the candidates that are fooling images, in [0, 1]."""
        return self.fooled.double().mean().item()

    @property
    def median_steps(self) -> float | None:
        """Median steps to fool, over the fooling images alone; None when there are none."""
        return self.steps[self.fooled].double().quantile(0.5).item() if self.fooled.any() else None

    @property
    def caution(self) -> str | None:
        """Why the fooling rate may be too low, in a sentence; None if nothing stalled."""
        count = int(self.stalled.sum())
        if count == 0:
            return None
        return (
            f"{count:,} of {len(self):,} candidates ({count / len(self):.0%}) stalled: the "
            "gradient vanished (0, or too small for float32) in nearly all pixels, so they say "
            "nothing about how hard the model is to fool; return the logits before the softmax, or "
            "try another start; if the model rounds its input, `audit` can search it as a black box"
        )


@arguments.taking(
    confidence=arguments.maybe(arguments.number),
    ascent=arguments.maybe(arguments.of("an Ascent", Ascent)),
    begun=arguments.maybe(arguments.tensor),
    objective=arguments.name_or_function,
    bounds=arguments.pair,
    shape=arguments.maybe(arguments.shape),
    trajectory=arguments.steps,
    waypoints=arguments.numbers,
    measured=arguments.flag,
    callback=arguments.maybe(arguments.function),
)
@torch.inference_mode(False)  # inference mode has no gradients
def fool(
    model: nn.Module | FrozenCopy,
    targets: int | Iterable[int] | Tensor,
    *,
    confidence: float | None = 0.99,
    count: int = 1,
    start: str | Tensor = "uniform",
    seed: int = 0,
    steps: int = 1000,
    ascent: Ascent | None = None,
    begun: Tensor | None = None,
    objective: str | Objective = "log_odds",
    bounds: Bounds = (0.0, 1.0),
    shape: Shape | None = None,
    chunk: int = 250,
    trajectory: bool | Collection[int] = False,
    waypoints: Sequence[float] = (),
    measured: bool = True,
    callback: Callable[[Progress], None] | None = None,
) -> FoolingResult:
    """Optimise images until `model` takes each one for its target with the asked confidence.

    A step follows the gradient g of the objective, with momentum (Dong et al. 2018, before their
    sign): v ← momentum · v + g / mean|g|, image ← image + step_size · r(t) · v after t steps,
    clamped to the bounds; pixels that a bound holds back count for nothing in g and v. Since r(t)
    grows from 1 to 4 over 30 steps, and then falls as 1 / √t, most images stay near where they
    began, and the few that resist are pushed harder, then more gently. (An `ascent` can step in
    other ways.) What comes of noise that way are the fooling images of Nguyen, Yosinski
    and Clune (2015). An image leaves the batch as soon as it fools *as its PNG will hold it*,
    rounded to 8 bits and read in float32, and the next one takes its place. The model is not
    touched: a frozen copy does the work. Among several processes (`processes.join`) each optimises
    its share of the images, and all get the whole result.

    Args:
        model: images (N, C, H, W) within `bounds` in, logits (N, K) out, on any device; or a
            frozen copy of one, which then does the work itself.
        targets: class indices; each gets `count` images, which follow one another in the result.
        confidence: softmax probability of the target to reach, in (0, 1). With None every image
            takes all its steps, and counts as fooled if the target's probability exceeds 0.5.
        count: images a target.
        start: a name from `starts.STARTS`, or images of your own, (N, C, H, W) within the bounds
            for as many as are wanted, or (1, C, H, W) for all of them.
        seed: for the starts, where each image has a random generator of its own, and for the
            noise of the ascent.
        steps: the most steps an image may take.
        ascent: how an image climbs; by default as above.
        begun: (N,) int64, the steps that each candidate has taken in earlier calls. They count for
            the ascent, which goes on from there, and not among `steps`.
        objective: a name from `objectives.OBJECTIVES`, or a function of logits (N, K) and targets
            (N,) that gives one scalar an image, (N,).
        bounds: the least and the greatest value of a pixel.
        shape: (C, H, W) of an image where `start` is a name; by default the model's
            `image_shape`, or MNIST's (1, 28, 28).
        chunk: how many images are optimised at once; bounds the memory.
        trajectory: keep every step of every image, or only those numbers of steps and the last.
        waypoints: lesser confidences, in ascending order. What an image is when it first reaches
            one is kept as well, as if that had been asked for.
        measured: ask in the end how sure the model is of each image. With False, where no
            confidence is asked for, no image counts as fooled and the result's confidence is NaN;
            in a call of a few steps that saves a good part of the work.
        callback: called with a `Progress` after every step of the batch; among several processes
            it is that of this one's share.

    Raises:
        InputError: a `ValueError`, for anything out of range, and for a model that does not give
            finite logits (N, K).

    Warns:
        UserWarning: when the model returns probabilities.
        UnsteadyWarning: when the model's answers vary between calls or depend on the rest of the
            batch; a `UserWarning`.
        NoGradientWarning: when candidates have stalled (`FoolingResult.stalled`); a `UserWarning`.
    """
    asked = _checked_confidences(confidence, waypoints)
    if not measured and confidence is not None:
        raise InputError(
            f"measured: expected True where a confidence is asked for, got {confidence:g}"
        )
    checks.at_least("steps", steps, 0, checks.MOST)
    checks.at_least("chunk", chunk, 1)
    checks.seed("seed", seed)
    low, high = bounds = _checked_bounds(bounds)
    size = start.shape[1:] if isinstance(start, Tensor) else shape or _shape_of(model)
    wanted = _checked_targets(targets, count, size)
    starts = _starts(start, len(wanted), shape or _shape_of(model), seed, bounds)
    score_of = _objective(objective)
    ascent = ascent or Ascent()
    net = model if isinstance(model, FrozenCopy) else _frozen(model, starts(range(1)), bounds)
    if (given := tuple(starts(range(0)).shape[1:])) != net.image_shape:
        raise InputError(
            f"model: expected a frozen copy for images of {given}, got {net.image_shape}"
        )
    arguments.within_classes("targets", wanted, net.n_classes, "model")
    wanted = wanted.to(net.device)

    total = len(wanted)
    mine = processes.share(total)
    leaves = confidence is not None
    passes = [mark + min(SLACK, (1 - mark) / 2) for mark in asked]
    marks, passing = torch.tensor([asked, passes], dtype=torch.float32, device=net.device)
    memory, move = RULES[ascent.rule]
    climbed = _begun(begun, total).to(net.device)
    x = starts(range(0)).to(net.device)  # the batch: images,
    state = x.new_zeros(0, memory, *x.shape[1:])  # what the rule keeps of their steps,
    row = wanted.new_empty(0)  # which row of the result each one is,
    taken = wanted.new_empty(0)  # the steps it has taken,
    passed = wanted.new_empty(0)  # and how many of the marks it has passed
    levels = torch.empty(len(marks), total, *x.shape[1:], dtype=torch.uint8, device=net.device)
    reached = torch.zeros(len(marks), total, dtype=torch.float32, device=net.device)
    steps_taken = wanted.new_zeros(len(marks), total)
    # Whether the last step's gradient had vanished.
    flat = torch.zeros(total, dtype=torch.bool, device=net.device)
    shakers: list[Generator] = []  # what each image's noise is drawn from
    keeps = isinstance(trajectory, Collection) or bool(trajectory)
    shown = trajectory if isinstance(trajectory, Collection) else range(steps + 1)
    frames: list[list[Tensor]] = [[] for _ in range(total)] if keeps else []
    entered, finished, image_steps = mine.start, 0, 0

    while finished < len(mine):
        # Fill the batch up from those that have not begun.
        if new := range(entered, min(mine.stop, entered + chunk - len(row))):
            entered = new.stop
            x = torch.cat([x, starts(new).to(net.device)])
            state = torch.cat([state, state.new_zeros(len(new), *state.shape[1:])])
            row = torch.cat([row, torch.arange(new.start, new.stop, device=net.device)])
            taken, passed = (torch.cat([v, v.new_zeros(len(new))]) for v in (taken, passed))
            if ascent.noise:
                shakers += [generator_for(seed, index, "noise") for index in new]
        if keeps:
            kept = [i for i, step in enumerate(taken.tolist()) if step in shown]
            for image, frame in zip(row[kept].tolist(), to_levels(x[kept], bounds), strict=True):
                frames[image].append(frame)

        # Ask the network, in the ascent's noise, on behalf of those who have steps left.
        due = spent = taken >= steps
        before = climbed[row] + taken
        if not spent.all():
            sigma = ascent.noise_after(before) * (high - low)
            x.requires_grad_(True)
            with torch.enable_grad():
                logits = net.logits(_noisy(x, sigma, shakers) if ascent.noise else x, sigma)
                score = score_of(logits, wanted[row])
            if leaves:
                plain = net.logits(x.detach()) if ascent.noise else logits.detach()
                due = spent | (confidence_of(plain, wanted[row]) >= marks[passed])

        # An image that seems to fool, or is out of steps, is checked as a PNG will hold it.
        if due.any():
            rows = row[due]
            seen = to_levels(x.detach()[due], bounds)
            exact = reached.new_full((len(rows),), math.nan)
            if measured:
                exact = confidence_of(net.exact_logits(from_levels(seen, bounds)), wanted[rows])
            for mark in range(len(marks)):
                ahead = passed[due] <= mark
                levels[mark, rows[ahead]] = seen[ahead]
                reached[mark, rows[ahead]] = exact[ahead]
                steps_taken[mark, rows[ahead]] = taken[due][ahead]
            passed[due] = passed[due].maximum((exact[:, None] >= passing).sum(1))
        leaving = due & (spent | (passed == len(marks)))
        finished += int(leaving.sum())

        # The others take a step.
        stay = ~leaving
        if stay.any():
            x, gradient = x.detach()[stay], _gradient(score, x)[stay]
            _check_finite(gradient)
            if (last := taken[stay] == steps - 1).any():
                flat[row[stay][last]] = _is_flat(gradient[last])
            held = ((x <= low) & (gradient < 0)) | ((x >= high) & (gradient > 0))
            gradient = gradient.masked_fill_(held, 0)
            state = state[stay].masked_fill_(held[:, None], 0)
            reach, direction, state = move(gradient, state, taken[stay], ascent.momentum)
            reach = reach * ascent.size_after(before[stay]) * (high - low)
            x = x.addcmul_(reach[:, None, None, None], direction).clamp_(low, high)
        else:
            x, state = x.detach()[stay], state[stay]
        if shakers:
            shakers = list(compress(shakers, stay.tolist()))
        row, taken, passed = row[stay], taken[stay] + 1, passed[stay]
        image_steps += len(row)
        if callback is not None:
            fooled = int((reached[-1] >= passing[-1]).sum())
            callback(Progress(len(mine), finished, fooled, image_steps))

    if net.manner.at_random:
        _ask_again(net, levels, reached, passing, wanted, bounds)

    trajectories = []
    for image in mine if keeps else ():
        if int(steps_taken[-1, image]) not in shown:
            frames[image].append(levels[-1, image])
        trajectories.append(_trajectory(net, torch.stack(frames[image]), wanted[image], bounds))
    own = slice(mine.start, mine.stop)
    flats = processes.joined(flat[own])
    *lesser, result = (
        FoolingResult(
            levels=processes.joined(levels[mark, own]),
            targets=wanted.cpu(),
            confidence=(confidences := processes.joined(reached[mark, own])),
            fooled=confidences >= least,
            steps=processes.joined(steps_taken[mark, own]),
            stalled=flats & ~(confidences >= least),
            bounds=bounds,
        )
        for mark, least in enumerate(passing.cpu())
    )
    ways = tuple(chain(*processes.gathered(trajectories))) if keeps else None
    if measured and result.caution is not None and processes.here().is_main:
        warn(result.caution, NoGradientWarning)
    return replace(result, trajectories=ways, waypoints=tuple(lesser))


def _frozen(model: nn.Module, example: Tensor, bounds: Bounds) -> FrozenCopy:
    """A frozen copy; warns if the model's answers aren't repeatable."""
    net, (low, high) = FrozenCopy(model, example), bounds
    _, channels, height, width = example.shape
    size = (channels, height, width)
    shown = torch.cat([begin(start, range(1), size, 0) for start in _SHOWN])
    net.watch(shown * (high - low) + low)
    for caution in net.manner.cautions:
        warn(f"the model is not steady: {caution}", UnsteadyWarning)
    return net


def _ask_again(
    net: FrozenCopy,
    levels: Tensor,
    reached: Tensor,
    passing: Tensor,
    targets: Tensor,
    bounds: Bounds,
) -> None:
    """Ask a model whose answers vary once more about what fooled it, in `reached` (M, N).

    An image leaves when it first passes, and among many answers some pass by luck.
    """
    for mark, least in enumerate(passing):
        passed = (reached[mark] >= least).nonzero()[:, 0]
        for rows in torch.split(passed, _AT_ONCE) if len(passed) else ():
            logits = net.exact_logits(from_levels(levels[mark, rows], bounds))
            reached[mark, rows] = confidence_of(logits, targets[rows])


def _gradient(score: Tensor, images: Tensor) -> Tensor:
    """The gradient of each image's score (N,) in its pixels, (N, C, H, W)."""
    gradient = None
    if score.requires_grad:
        ones = torch.ones_like(score)
        (gradient,) = torch.autograd.grad(score, images, ones, allow_unused=True)
    if gradient is None:
        raise InputError(
            "model: expected logits with a gradient in the image, got none: something blocks it "
            "(detach(), no_grad(), integers); `audit` can search the model as a black box"
        )
    return gradient


def _check_finite(gradient: Tensor) -> None:
    # A non-finite element makes the sum non-finite, and the sum is faster to check.
    if not gradient.sum().isfinite() and not gradient.isfinite().all():
        raise InputError(
            "model: expected a finite gradient in the image, got NaN or infinity though its logits "
            "are finite; look for a square root, norm or logarithm of 0"
        )


def _is_flat(gradient: Tensor) -> Tensor:
    """Whether gradients (N, C, H, W) have vanished, (N,) bool."""
    return (gradient.abs() < _LEAST).float().mean((1, 2, 3)) >= _FLAT


def _trajectory(net: FrozenCopy, levels: Tensor, target: Tensor, bounds: Bounds) -> Trajectory:
    logits = torch.cat(
        [net.exact_logits(from_levels(v, bounds)) for v in torch.split(levels, _AT_ONCE)]
    )
    return Trajectory(levels.cpu(), confidence_of(logits, target.expand(len(logits))).cpu())


def _checked_confidences(confidence: float | None, waypoints: Sequence[float]) -> list[float]:
    """All that are asked for, in ascending order; more than half where none is."""
    if confidence is None:
        if waypoints:
            raise InputError(f"waypoints: expected none without a confidence, got {[*waypoints]}")
        return [0.5]
    asked = [*waypoints, confidence]
    checks.open_interval("confidence", confidence, 0, 1)
    for waypoint in waypoints:
        checks.open_interval("waypoints", waypoint, 0, confidence)
    if any(low >= high for low, high in pairwise(asked)):
        raise InputError(f"waypoints: expected confidences in ascending order, got {[*waypoints]}")
    return asked


def _checked_bounds(bounds: Bounds) -> Bounds:
    low, high = (float(bound) for bound in bounds)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"bounds: expected (low, high) with low < high, got ({low:g}, {high:g})")
    return low, high


def _checked_targets(
    targets: int | Iterable[int] | Tensor, count: int, shape: Sequence[int]
) -> Tensor:
    checks.at_least("count", count, 1)
    try:
        if isinstance(targets, Tensor):
            arguments.tensor("targets", targets)
            listed = targets
        else:
            if isinstance(targets, Sized):  # don't list a huge range first
                checks.in_memory("targets", len(targets), shape)
            given = list(targets) if isinstance(targets, Iterable) else targets
            listed = torch.as_tensor(given, device="cpu")
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise arguments.refusal("targets", "classes", targets) from error
    if listed.numel() == 0:
        raise InputError("targets: expected at least one class, got none")
    if listed.is_floating_point() or listed.is_complex() or listed.dtype == torch.bool:
        raise InputError(f"targets: expected whole numbers, got {listed.dtype}")
    if listed.ndim > 1 or listed.min() < 0:
        raise InputError(
            f"targets: expected a list of classes from 0 up, got {checks.shown(listed.tolist())}"
        )
    checks.in_memory("count", listed.numel() * count, shape)
    return listed.reshape(-1).long().cpu().repeat_interleave(count)


def _objective(objective: str | Objective) -> Objective:
    """The named objective, or the given one with a check that it keeps images apart."""
    if isinstance(objective, str):
        checks.one_of("objective", objective, OBJECTIVES)
        return OBJECTIVES[objective]

    def checked(logits: Tensor, targets: Tensor) -> Tensor:
        try:
            score = objective(logits.clone(), targets)  # some objectives work in place
        except Exception as error:  # a user's function may raise anything
            raise InputError(
                "objective: expected a function of logits (N, K) and targets (N,); "
                f"it raised {error!r}"
            ) from error
        if not isinstance(score, Tensor) or score.shape != targets.shape:
            came = tuple(score.shape) if isinstance(score, Tensor) else type(score).__name__
            raise InputError(
                f"objective: expected one scalar an image, {tuple(targets.shape)}, got {came}"
            )
        return score

    return checked


def _starts(
    start: str | Tensor, total: int, shape: Shape, seed: int, bounds: Bounds
) -> Callable[[range], Tensor]:
    """A function from image numbers to their start images (n, C, H, W) within the bounds."""
    low, high = bounds
    if isinstance(start, str):
        checks.one_of("start", start, STARTS)
        return lambda numbers: (
            begin(start, numbers, shape, seed).mul_(high - low).add_(low).clamp_(low, high)
        )
    if not isinstance(start, Tensor):
        raise InputError(f"start: expected a name or a tensor, got {type(start).__name__}")
    arguments.tensor("start", start)
    if start.ndim != 4 or len(start) not in (1, total) or not start.is_floating_point():
        raise InputError(
            f"start: expected float images (N, C, H, W) with N = 1 or {total}, "
            f"got {start.dtype} {tuple(start.shape)}"
        )
    if not (start.min() >= low and start.max() <= high):
        raise InputError(
            f"start: expected pixels within {low:g} to {high:g}, "
            f"got {start.min():g} to {start.max():g}"
        )
    images = start.detach().float().expand(total, -1, -1, -1)
    return lambda numbers: images[numbers.start : numbers.stop]


def _begun(begun: Tensor | None, total: int) -> Tensor:
    """Steps that each of `total` candidates has taken before."""
    if begun is None:
        return torch.zeros(total, dtype=torch.int64, device="cpu")
    if begun.dtype != torch.int64 or begun.shape != (total,) or (begun < 0).any():
        raise InputError(
            f"begun: expected {total} step counts from 0 up (int64), got {begun.dtype} "
            f"of shape {tuple(begun.shape)}"
        )
    return begun


def _noisy(images: Tensor, sigma: Tensor, generators: list[Generator]) -> Tensor:
    """Images (N, C, H, W) with gaussian noise of standard deviations (N,), each from its own."""
    noise = torch.empty(images.shape, dtype=torch.float32, device="cpu")
    for each, generator in zip(noise, generators, strict=True):
        each.normal_(generator=generator)
    return images + noise.to(images.device).mul_(sigma[:, None, None, None])


def _shape_of(model: nn.Module | FrozenCopy) -> Shape:
    shape = getattr(model, "image_shape", (1, 28, 28))
    arguments.shape("the model's image_shape", shape)
    channels, height, width = shape
    return channels, height, width
