"""Checks for the arguments of `fool`, `climb` and `draw`; each error is one sentence."""

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError, UnsteadyWarning, warn
from deceive.common.levels import Bounds, Shape
from deceive.common.raising import raised
from deceive.fooling.ascent import Ascent
from deceive.fooling.objectives import OBJECTIVES, Objective
from deceive.fooling.rules import AIMLESS, RULES
from deceive.fooling.starts import Starts, begin
from deceive.networks.frozen import FrozenCopy

# Starts for testing repeatability, of different kinds: two of one kind have similar statistics.
_SHOWN = ("uniform", "squares")


def confidences(confidence: float | Sequence[float]) -> list[float]:
    """The requested confidences, in ascending order, each in (0, 1)."""
    if isinstance(confidence, str) or not isinstance(confidence, Sequence):
        arguments.number("confidence", confidence)
        asked = [float(confidence)]
    else:
        arguments.numbers("confidence", confidence)
        asked = [*confidence]
    for each in asked:
        checks.open_interval("confidence", each, 0, 1)
    if not asked or any(low >= high for low, high in pairwise(asked)):
        raise InputError(f"confidence: expected one, or several in ascending order, got {asked}")
    return asked


def sizes(steps: int, chunk: int, seed: int) -> None:
    """Numbers of steps and of images at once, and a seed."""
    checks.at_least("steps", steps, 0, checks.MOST)
    checks.at_least("chunk", chunk, 1)
    checks.seed("seed", seed)


def frames(trajectory: bool | Collection[int], steps: int) -> Collection[int] | None:
    """The numbers of steps after which a frame is kept; None for no frames."""
    if isinstance(trajectory, Collection):
        return trajectory
    return range(steps + 1) if trajectory else None


def bounds(given: Bounds) -> Bounds:
    """Finite bounds, the lower one first."""
    low, high = (float(bound) for bound in given)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"bounds: expected (low, high) with low < high, got ({low:g}, {high:g})")
    return low, high


def targets(given: int | Iterable[int] | Tensor, count: int, shape: Sequence[int]) -> Tensor:
    """The class (N,) int64 of each image, `count` for each target; they fit into the memory."""
    checks.at_least("count", count, 1)
    try:
        if isinstance(given, Tensor):
            arguments.tensor("targets", given)
            listed = given
        else:
            classes: Any = given
            if isinstance(given, Iterable):
                classes = checks.listed("targets", given, shape)
            listed = torch.as_tensor(classes, device="cpu")
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise arguments.refusal("targets", "classes", given) from error
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


def shape(
    given: Shape | None, model: nn.Module | FrozenCopy, start: str | Tensor = "uniform"
) -> Shape:
    """The shape of images: of the caller's starts, as requested, of the model, or of MNIST."""
    name, found = "the model's image_shape", getattr(model, "image_shape", (1, 28, 28))
    if isinstance(start, Tensor) and start.ndim == 4:
        name, found = "start", start.shape[1:]
    elif given is not None:
        name, found = "shape", given
    arguments.shape(name, found)
    channels, height, width = found
    return channels, height, width


def begun(given: Tensor | None, total: int) -> Tensor:
    """The number of steps (N,) that each of `total` images took before."""
    if given is None:
        return torch.zeros(total, dtype=torch.int64, device="cpu")
    if given.dtype != torch.int64 or given.shape != (total,) or (given < 0).any():
        raise InputError(
            f"begun: expected {total} step counts from 0 up (int64), got {given.dtype} "
            f"of shape {tuple(given.shape)}"
        )
    return given


def objective(given: str | Objective) -> Objective:
    """The named objective, or the caller's with a check that it keeps images apart."""
    if isinstance(given, str):
        checks.one_of("objective", given, OBJECTIVES)
        return OBJECTIVES[given]

    def checked(logits: Tensor, targets: Tensor) -> Tensor:
        try:
            score = given(logits.clone(), targets)  # some objectives work in place
        except Exception as error:  # a user's function may raise anything
            raise InputError(
                "objective: expected a function of logits (N, K) and targets (N,); "
                f"it raised {raised(error)}"
            ) from error
        if not isinstance(score, Tensor) or score.shape != targets.shape:
            came = tuple(score.shape) if isinstance(score, Tensor) else type(score).__name__
            raise InputError(
                f"objective: expected one scalar per image, {tuple(targets.shape)}, got {came}"
            )
        return score

    return checked


def goal(ascent: Ascent, confidence: float, given: str | Objective) -> float | None:
    """The objective at the asked confidence, for a rule that aims at it; None for the others."""
    if not RULES[ascent.rule].aims:
        return None
    if given != "log_odds":
        raise InputError(
            f"objective: expected log_odds, the only one that the rule {ascent.rule} works with, "
            f"got {checks.shown(given)}"
        )
    return math.log(confidence / (1 - confidence))


def aimless(name: str, ascent: Ascent) -> None:
    """An ascent for steps that aim at no confidence."""
    if why := why_aimed(ascent):
        raise InputError(f"{name}: {why}")


def why_aimed(ascent: Ascent) -> str:
    """Why an ascent can't be used where no confidence is asked for; empty if it can."""
    if not RULES[ascent.rule].aims:
        return ""
    *others, last = AIMLESS
    return (
        f"expected the rule {', '.join(others)} or {last}, got {ascent.rule!r}, which works in "
        "fool alone"
    )


def frozen(
    model: nn.Module | FrozenCopy, starts: Starts, targets: Tensor, bounds: Bounds
) -> FrozenCopy:
    """A frozen copy for these starts and targets; warns if the model's answers aren't repeatable.

    If a frozen copy is given, it is used as it is.
    """
    net = model if isinstance(model, FrozenCopy) else _watched(model, starts(range(1)), bounds)
    if (given := tuple(starts(range(0)).shape[1:])) != net.image_shape:
        raise InputError(
            f"model: expected a frozen copy for images of {given}, got {net.image_shape}"
        )
    arguments.within_classes("targets", targets, net.n_classes, "model")
    return net


def _watched(model: nn.Module, example: Tensor, bounds: Bounds) -> FrozenCopy:
    net, (low, high) = FrozenCopy(model, example), bounds
    _, channels, height, width = example.shape
    size = (channels, height, width)
    shown = torch.cat([begin(start, range(1), size, 0) for start in _SHOWN])
    net.watch(shown * (high - low) + low)
    for caution in net.manner.cautions:
        warn(f"the model is not steady: {caution}", UnsteadyWarning)
    return net
