"""How a network draws: several attempts along its schedules; the best one is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deceive.common.levels import UNIT, from_levels
from deceive.common.seeds import generator_for
from deceive.fooling import checked
from deceive.fooling.ascent import Ascent
from deceive.fooling.batch import Entrance
from deceive.fooling.climber import Climber
from deceive.fooling.ledger import Ledger
from deceive.fooling.objectives import log_odds
from deceive.fooling.result import FoolingResult, Progress, Trajectory
from deceive.fooling.starts import starts_of
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import BATCH, confidence_of

# Noise added to an image when the network is asked whether to accept it. Chosen on training and
# validation images (docs/laboratory/polishing.md).
_IN_NOISE = 0.3

# A drawn image counts as fooled above this confidence.
_FOOLED = 0.5

# Added to the seed for each further attempt at an image, and for polishing.
_APART, _POLISHED = 10_000_019, 5_000_011


@dataclass(frozen=True)
class Drawing:
    """How one network draws; `draw` with its arguments checked."""

    net: FrozenCopy
    ascents: Sequence[Ascent]
    """Each has a schedule; images climb along the first, then the next."""
    chunk: int = 250
    in_noise: float = _IN_NOISE
    """Standard deviation of the noise in which the network decides whether to accept an image."""
    trajectory: bool = False
    callback: Callable[[Progress], None] | None = None

    def best(
        self,
        targets: Tensor,
        start: str | Tensor,
        seed: int,
        *,
        accepted: float | None,
        attempts: int,
    ) -> FoolingResult:
        """The most confident of several attempts; an accepted image is not drawn again."""
        drawn = self.attempt(targets, start, seed)
        if accepted is None:
            return drawn
        confidence = self.confidence(drawn, seed)
        for attempt in range(1, attempts):
            doubtful = (confidence < accepted).nonzero()[:, 0]
            if len(doubtful) == 0:
                break
            other_seed = seed + _APART * attempt
            own = isinstance(start, Tensor) and len(start) > 1
            again = self.attempt(targets[doubtful], start[doubtful] if own else start, other_seed)
            found = self.confidence(again, other_seed)
            better = found > confidence[doubtful]
            confidence[doubtful[better]] = found[better]
            drawn = _with(drawn, doubtful[better], again, better)
        return drawn

    def attempt(self, targets: Tensor, start: str | Tensor, seed: int) -> FoolingResult:
        """Draw each image once."""
        first, *others = self.ascents
        drawn = self._along(first, targets, start, seed)
        for number, ascent in enumerate(others, 1):
            further = self._along(ascent, targets, drawn.images, seed + _POLISHED * number)
            drawn = _after(drawn, further)
        return drawn

    def confidence(self, drawn: FoolingResult, seed: int) -> Tensor:
        """The confidence (N,) in each image, in noise from a generator of its own."""
        confidences = []
        for part in torch.split(torch.arange(len(drawn)), BATCH):
            noise = [
                torch.randn(drawn.levels.shape[1:], generator=generator_for(seed, number, "belief"))
                for number in part.tolist()
            ]
            images = from_levels(drawn.levels[part]) + self.in_noise * torch.stack(noise)
            told = torch.full((len(part),), self.in_noise, device=self.net.device)
            with torch.no_grad():
                logits = self.net.logits(images.to(self.net.device), told)
            confidences.append(confidence_of(logits, drawn.targets[part].to(self.net.device)).cpu())
        return torch.cat(confidences)

    def _along(
        self, ascent: Ascent, targets: Tensor, start: str | Tensor, seed: int
    ) -> FoolingResult:
        """Images after the whole schedule of one ascent; this process climbs with its share."""
        net, wanted = self.net, targets.to(self.net.device)
        steps = ascent.schedule.steps if ascent.schedule is not None else 0
        starts = starts_of(start, len(targets), checked.shape(None, net), seed, UNIT)
        climber = Climber(net, ascent, log_odds, UNIT, steps)
        entrance = Entrance(starts, wanted, ascent, seed)
        ledger = Ledger(net, wanted, [_FOOLED], UNIT, checked.frames(self.trajectory, steps))
        tell = self.callback or (lambda progress: None)
        for first in ledger.mine[:: self.chunk]:
            batch = entrance.batch(range(first, min(first + self.chunk, ledger.mine.stop)))
            ledger.film(batch)
            for _ in range(steps):
                batch = climber.step(batch)
                ledger.film(batch)
                tell(ledger.count(left=0, stepped=len(batch)))
            ledger.enter(batch, torch.ones_like(batch.number, dtype=torch.bool))
            tell(ledger.count(left=len(batch), stepped=0))
        return ledger.result()


def _after(drawn: FoolingResult, further: FoolingResult) -> FoolingResult:
    """Join two climbs: the second began where the first ended."""
    ways = None
    if drawn.trajectories is not None and further.trajectories is not None:
        ways = tuple(
            Trajectory(*(torch.cat([a, b[1:]]) for a, b in zip(way, end, strict=True)))
            for way, end in zip(drawn.trajectories, further.trajectories, strict=True)
        )
    return replace(further, steps=drawn.steps + further.steps, trajectories=ways)


def _with(
    drawn: FoolingResult, places: Tensor, again: FoolingResult, chosen: Tensor
) -> FoolingResult:
    """Replace the images at `places` (n,) for which `chosen` (m,) is true by another attempt's."""
    changed = {}
    for name in ("levels", "confidence", "fooled", "steps", "stalled"):
        values = getattr(drawn, name).clone()
        values[places] = getattr(again, name)[chosen]
        changed[name] = values
    trajectories = drawn.trajectories
    if trajectories is not None and again.trajectories is not None:
        theirs = (again.trajectories[i] for i in chosen.nonzero()[:, 0].tolist())
        by_place = dict(zip(places.tolist(), theirs, strict=True))
        trajectories = tuple(by_place.get(i, way) for i, way in enumerate(trajectories))
    return replace(drawn, **changed, trajectories=trajectories)
