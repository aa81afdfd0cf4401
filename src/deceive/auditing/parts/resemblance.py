"""How much images that fool the model look like real ones; measured if there is no judge."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.auditing.context import Context
from deceive.auditing.record.measured import Resemblance
from deceive.auditing.record.outcomes import gibberish, stored_outcomes
from deceive.auditing.record.rows import ResemblanceRow, attacked_in
from deceive.auditing.shares import share_of
from deceive.common.levels import from_levels
from deceive.common.progress import Tick
from deceive.data.dataset import Images
from deceive.fooling.starts import REAL
from deceive.judging.resemblance import high_frequencies, nearest
from deceive.judging.scores import reached_by

# Fooling images, and test images, to measure; and the values of all validation images that they
# are compared with.
_MEASURED, _COMPARED, _VALUES = 100, 2000, 40_000_000

# Validation images in memory at once.
_BATCH = 100

# The share of test images that is to look real.
_REAL = 0.95


@dataclass(frozen=True)
class ResemblancePart:
    """It comes after all attacks."""

    name: str = "resemblance"
    words: str = "likeness to real images"

    def run(self, context: Context, tick: Tick) -> ResemblanceRow:
        """Measure fooling images and test images in the same way."""
        data = context.data
        fooling, real = _fooling(context), _some(data.test, _MEASURED)
        most = max(_MEASURED, _VALUES // real[0].numel())
        compared = min(_COMPARED, most, len(data.validation))
        away = nearest(torch.cat([fooling, real]), _batches(data.validation, compared, tick))
        high = high_frequencies(torch.cat([fooling, real]))
        (away, real_away), (high, real_high) = (
            (each[: len(fooling)], each[len(fooling) :]) for each in (away, high)
        )
        # What 95% of the test images don't exceed.
        farthest, highest = (-reached_by(-each, _REAL) for each in (real_away, real_high))
        found = Resemblance(
            images=len(fooling),
            compared_with=compared,
            nearest=_median(away),
            real_nearest=real_away.median().item(),
            high_frequencies=_median(high),
            real_high_frequencies=real_high.median().item(),
            alike=share_of((away <= farthest) & (high <= highest)) if len(fooling) else None,
        )
        return ResemblanceRow(part=self.name, resemblance=found)


def _fooling(context: Context) -> Tensor:
    """Some images that fool the model, (N, C, H, W), of as many attacks as there are.

    Gibberish where there are judges; at the asked threshold, or if none gets there at its own.
    Those that began as real images are left out, as they may still look like those.
    """
    attacks = [each for each in attacked_in(context.run) if each.start != REAL]
    each_gives = -(-_MEASURED // max(len(attacks), 1))
    for threshold in ("asked", "own"):
        found = []
        for attacked in attacks:
            arrays = stored_outcomes(context.run, attacked, context.sizes)[threshold]
            nonsense = gibberish(arrays)
            which = arrays["fooled"] if nonsense is None else nonsense
            found.append(torch.from_numpy(arrays["levels"][which][:each_gives]))
        levels = torch.cat(found) if found else torch.empty(0)
        if len(levels):
            return from_levels(levels[_spread(len(levels), _MEASURED)])
    return torch.empty(0, *context.data.image_shape)


def _batches(images: Images, count: int, tick: Tick) -> Iterator[Tensor]:
    for batch, which in enumerate(torch.split(_spread(len(images), count), _BATCH)):
        tick(batch * _BATCH, count)
        yield images.read(which)


def _some(images: Images, count: int) -> Tensor:
    return images.read(_spread(len(images), count))


def _spread(length: int, count: int) -> Tensor:
    """Up to `count` places in a list of this length, evenly spread."""
    return torch.linspace(0, length - 1, min(length, count)).round().long()


def _median(values: Tensor) -> float | None:
    return values.median().item() if len(values) else None
