"""The final network's images: judged against the test images, and kept for the page."""

import time
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from deceive.common import processes
from deceive.common.levels import to_levels
from deceive.data.dataset import Dataset
from deceive.fooling.drawing import draw
from deceive.fooling.fool import fool
from deceive.fooling.result import FoolingResult
from deceive.fooling.starts import begin
from deceive.judging.likeness import nearest
from deceive.judging.quality import quality
from deceive.networks.guarded import Network
from deceive.storage.kinds import Row
from deceive.storage.runs import Run
from deceive.teaching.settings import EmergingSettings, UnitingSettings

# Added to the seed for these images; no round uses it.
_FINAL = 2_000_003

# Frames from one start to another.
_FRAMES = 9


def judged_drawings(
    network: Network,
    run: Run,
    data: Dataset,
    judge: Network,
    settings: EmergingSettings | UnitingSettings,
) -> Row:
    """Make images of each class from fresh noise, and judge them by every measure.

    They are drawn along the schedule of the rounds, or deceive the network plainly where that is
    what its rounds are for.

    Returns:
        The fields of `quality.Quality` against the test images, and how fast they were made. It
        writes arrays into the run: `drawn`, all images; `nearest`, some of them and the training
        images nearest to those; of a schedule also `ways`, one image of each class step by step,
        and `between`, images drawn from starts between two others.
    """
    started = time.perf_counter()
    seed = _FINAL + settings.seed
    drawn = (
        _drawn(network, data, settings, count=settings.judged)
        if isinstance(settings, EmergingSettings)
        else fool(network, range(data.n_classes), count=settings.judged, seed=seed)
    )
    seconds = time.perf_counter() - started

    def judged() -> Row:
        _keep(drawn, run, data)
        if isinstance(settings, EmergingSettings):
            _keep_ways(network, run, data, settings)
        found = quality(drawn.images, drawn.targets, judge, data, reference=data.test, seed=seed)
        return asdict(found)

    return processes.on_main(judged) | {
        "seconds_to_draw": round(seconds, 2),
        "images_per_second": round(len(drawn) / seconds, 1),
    }


def _drawn(
    network: Network, data: Dataset, settings: EmergingSettings, **other: Any
) -> FoolingResult:
    """Images of all classes, drawn as the settings say, with `other` arguments for `draw`."""
    seed = _FINAL + settings.seed
    usual: Any = {"start": settings.start, "ascent": settings.ascent, "seed": seed}
    return draw(network, range(data.n_classes), **usual | other)


def _keep(drawn: FoolingResult, run: Run, data: Dataset) -> None:
    """Keep the images, and the real ones nearest to some of them."""
    run.save_arrays("drawn", levels=drawn.levels.numpy(), targets=drawn.targets.numpy())
    shown = torch.cat([(drawn.targets == k).nonzero()[:2, 0] for k in range(data.n_classes)])
    _, which = nearest(drawn.images[shown], data.train.images)
    run.save_arrays(
        "nearest",
        levels=drawn.levels[shown].numpy(),
        nearest=to_levels(data.train.images[which]).numpy(),
    )


def _keep_ways(network: Network, run: Run, data: Dataset, settings: EmergingSettings) -> None:
    """Keep an image of each class step by step, and images between others."""
    one_each = _drawn(network, data, settings, trajectory=True)
    ways = [way.levels for way in one_each.trajectories or ()]
    run.save_arrays("ways", levels=torch.stack(ways).numpy(), targets=one_each.targets.numpy())
    run.save_arrays("between", levels=_between(network, data, settings).numpy())


def _between(network: Network, data: Dataset, settings: EmergingSettings) -> Tensor:
    """Levels (K, frames, C, H, W): for each class, from one start to another in even steps.

    All frames of a class are drawn in the same noise, so that only the start differs.
    """
    seed = _FINAL + settings.seed
    starts = begin(settings.start, range(2 * data.n_classes), data.image_shape, seed)
    one, other = starts.chunk(2)
    frames = [
        _drawn(network, data, settings, start=torch.lerp(one, other, place), accepted=None).levels
        for place in torch.linspace(0, 1, _FRAMES).tolist()
    ]
    return torch.stack(frames, 1)
