"""The gradient attacks of an audit: their step rules, and the outcome of each candidate."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deceive.auditing.settings import CERTAIN, AuditSettings, WayName
from deceive.common.arrays import Arrays
from deceive.common.errors import NoGradientWarning
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult, Progress
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import batch_for

CHUNK = 250
"""The most images that are optimised at once."""

# The fields of a `FoolingResult` that an audit keeps.
_KEPT = ("levels", "confidence", "fooled", "steps", "stalled")


@dataclass(frozen=True)
class Way:
    """How a white-box attack climbs."""

    ascent: Ascent = field(default_factory=Ascent)
    fresh: bool = False
    """Whether to restart repeatedly from fresh start images."""


WAYS: dict[WayName, Way] = {
    "momentum": Way(),
    "sign": Way(Ascent(rule="sign")),
    "adam": Way(Ascent(rule="adam")),
    "smoothed": Way(Ascent(noise=0.1)),
    "restarts": Way(fresh=True),
}


def attack(
    net: FrozenCopy,
    way: Way,
    start: Callable[[int], Tensor],
    targets: Tensor,
    thresholds: dict[str, float],
    settings: AuditSettings,
    callback: Callable[[Progress], None],
) -> Arrays:
    """Attack with candidates in one way, for all thresholds at once.

    Args:
        net: a copy of the model, images (N, C, H, W) in [0, 1] in, logits out.
        way: how to climb.
        start: attempt number → start images (N, C, H, W) in [0, 1].
        targets: (N,) int64.
        thresholds: by name.
        settings: `steps` is the most that an attempt may take, `restarts` the number of attempts of
            a way with fresh starts, `seed` for the noise of a smoothed gradient.
        callback: as `fool`'s.

    Returns:
        For each threshold `NAME_levels`, `NAME_confidence`, `NAME_fooled`, `NAME_steps` and
        `NAME_stalled`, as in a `FoolingResult`: from the first attempt that reached it, or from the
        last.
    """
    *lesser, greatest = sorted(set(thresholds.values()))
    kept: dict[float, Arrays] = {}
    for attempt in range(1, settings.restarts + 1) if way.fresh else [0]:
        left = np.flatnonzero(~kept[greatest]["fooled"]) if kept else np.arange(len(targets))
        if len(left) == 0:
            break
        came = _fooled(
            net,
            targets[left],
            confidence=[*lesser, greatest],
            start=start(attempt)[left],
            steps=settings.steps,
            ascent=way.ascent,
            seed=settings.seed + attempt,
            callback=callback,
        )
        for confidence, result in zip([*lesser, greatest], [*came.waypoints, came], strict=True):
            arrays = {key: getattr(result, key).numpy() for key in _KEPT}
            if confidence in kept:
                better = ~kept[confidence]["fooled"][left]
                for key, values in kept[confidence].items():
                    values[left[better]] = arrays[key][better]
            else:
                kept[confidence] = arrays
    return {
        f"{name}_{key}": values
        for name, confidence in thresholds.items()
        for key, values in kept[confidence].items()
    }


def curve(
    net: FrozenCopy,
    way: Way,
    start: Tensor,
    targets: Tensor,
    *,
    budgets: list[int],
    seed: int,
    callback: Callable[[Progress], None],
) -> Arrays:
    """The confidence that candidates reach with more and more steps, beyond every threshold.

    Returns:
        `levels` (B, N, C, H, W) uint8 and `confidence` (B, N) after each of the B budgets, which
        are in ascending order.
    """
    came = _fooled(
        net,
        targets,
        confidence=CERTAIN,
        start=start,
        steps=budgets[-1],
        ascent=way.ascent,
        seed=seed,
        trajectory=budgets,
        callback=callback,
    )
    places = torch.arange(len(budgets))

    def after_each(frames: tuple[Tensor, ...]) -> NDArray[Any]:
        # A candidate that has reached certainty stops.
        return torch.stack([each[places.clamp_max(len(each) - 1)] for each in frames], 1).numpy()

    all_levels, all_confidence = zip(*came.trajectories or (), strict=True)
    return {"levels": after_each(all_levels), "confidence": after_each(all_confidence)}


def _fooled(net: FrozenCopy, targets: Tensor, **options: Any) -> FoolingResult:
    """`fool` without its warning, which the audit gives for all attacks together."""
    chunk = batch_for(net.image_shape, CHUNK, gradient=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoGradientWarning)
        return fool(net, targets, chunk=chunk, **options)
