"""The outcome of every image at every requested confidence, as 8-bit images in float32."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor

from deceive.common import processes
from deceive.common.levels import Bounds, from_levels, to_levels
from deceive.fooling.batch import Batch
from deceive.fooling.result import FoolingResult, Progress, Trajectory
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import confidence_of

# Batches of another size round differently in the last digits. An image that passes here must
# still pass when it is read back from its file and asked about alone.
SLACK = 1e-5

# Batch size of the final measurement.
_AT_ONCE = 250


class Ledger:
    """Records images that seem to fool or are out of steps; N images, M goals.

    Args:
        net: the network to fool.
        targets: (N,) int64, on its device.
        asked: the M confidences, in ascending order.
        bounds: of the pixels.
        frames: numbers of steps after which an image's frame is kept; None for no trajectories.
    """

    def __init__(
        self,
        net: FrozenCopy,
        targets: Tensor,
        asked: Sequence[float],
        bounds: Bounds,
        frames: Collection[int] | None,
    ) -> None:
        self.net, self.targets, self.bounds, self.frames = net, targets, bounds, frames
        self.mine = processes.share(len(targets))
        passing = [goal + min(SLACK, (1 - goal) / 2) for goal in asked]
        self.asked, self.passing = torch.tensor(
            [[*asked], passing], dtype=torch.float32, device=net.device
        )
        shape = (len(asked), len(targets))
        self.levels = torch.empty(*shape, *net.image_shape, dtype=torch.uint8, device=net.device)
        self.confidence = torch.zeros(shape, dtype=torch.float32, device=net.device)
        self.steps = targets.new_zeros(shape)
        self.flat = torch.zeros_like(targets, dtype=torch.bool)
        self.shots: list[list[Tensor]] = [[] for _ in targets] if frames is not None else []
        self.finished = self.image_steps = 0

    def film(self, batch: Batch) -> None:
        """Keep the requested frames."""
        if self.frames is None:
            return
        due = [i for i, step in enumerate(batch.taken.tolist()) if step in self.frames]
        levels = to_levels(batch.images[due], self.bounds)
        for number, frame in zip(batch.number[due].tolist(), levels, strict=True):
            self.shots[number].append(frame)

    def enter(self, batch: Batch, due: Tensor) -> None:
        """Measure those `due` (n,) as a PNG will hold them, and note the goals they reach."""
        if not due.any():
            return
        number, passed, taken = batch.number[due], batch.passed[due], batch.taken[due]
        seen = to_levels(batch.images[due], self.bounds)
        exact = self._exact(seen, batch.target[due])
        for goal in range(len(self.asked)):
            ahead = passed <= goal
            self.levels[goal, number[ahead]] = seen[ahead]
            self.confidence[goal, number[ahead]] = exact[ahead]
            self.steps[goal, number[ahead]] = taken[ahead]
        self.flat[number] = batch.flat[due]
        batch.passed[due] = passed.maximum((exact[:, None] >= self.passing).sum(1))

    def count(self, *, left: int, stepped: int) -> Progress:
        """The progress of this process's images, after some left and others took a step."""
        self.finished += left
        self.image_steps += stepped
        fooled = int((self.confidence[-1] >= self.passing[-1]).sum())
        return Progress(len(self.mine), self.finished, fooled, self.image_steps)

    def result(self) -> FoolingResult:
        """All processes' images at the last goal, with the lower goals as waypoints."""
        if self.net.manner.at_random:
            self._ask_again()
        own = slice(self.mine.start, self.mine.stop)
        trajectories = [self._trajectory(number) for number in self.mine] if self.shots else []
        flat = processes.joined(self.flat[own])
        *lesser, last = (
            FoolingResult(
                levels=processes.joined(self.levels[goal, own]),
                targets=self.targets.cpu(),
                confidence=(confidence := processes.joined(self.confidence[goal, own])),
                fooled=confidence >= least,
                steps=processes.joined(self.steps[goal, own]),
                stalled=flat & ~(confidence >= least),
                bounds=self.bounds,
            )
            for goal, least in enumerate(self.passing.cpu())
        )
        ways = tuple(chain(*processes.gathered(trajectories))) if self.shots else None
        return replace(last, trajectories=ways, waypoints=tuple(lesser))

    def _exact(self, levels: Tensor, targets: Tensor) -> Tensor:
        """The confidence (n,) in each target, of 8-bit images, in float32."""
        return confidence_of(self.net.exact_logits(from_levels(levels, self.bounds)), targets)

    def _ask_again(self) -> None:
        """If the model's answers vary, ask it once more about the images that fooled it.

        Images leave when they first pass, and among many answers some pass by luck.
        """
        for goal, least in enumerate(self.passing):
            passed = (self.confidence[goal] >= least).nonzero()[:, 0]
            for rows in torch.split(passed, _AT_ONCE) if len(passed) else ():
                exact = self._exact(self.levels[goal, rows], self.targets[rows])
                self.confidence[goal, rows] = exact

    def _trajectory(self, number: int) -> Trajectory:
        frames, last = self.shots[number], int(self.steps[-1, number])
        if self.frames is not None and last not in self.frames:
            frames.append(self.levels[-1, number])
        levels = torch.stack(frames)
        target = self.targets[number]
        confidence = [
            self._exact(part, target.expand(len(part))) for part in torch.split(levels, _AT_ONCE)
        ]
        return Trajectory(levels.cpu(), torch.cat(confidence).cpu())
