"""How long a model takes, measured with a clock that is passed in."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.data.dataset import Images
from deceive.fooling.gradient import gradient_of
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import batch_for

Clock = Callable[[], float]
"""Returns the time in seconds."""

# A measurement of this many seconds is long enough; a shorter one is repeated with so many times
# the images, and a very short one is the best of several, as other processes disturb it.
_LONG, _SHORT, _REPEATS, _GROWTH = 0.2, 0.02, 5, 4

# A slow call is timed with at most this many images, and at least twice as many as the few.
_LARGER, _AT_LEAST = 16, 4

# So much longer than the few images may the larger batch take in any case.
_HARDLY_LONGER = 1.5

# A step of this many seconds an image is slow.
_SLOW = 0.3


@dataclass(frozen=True)
class Cost:
    """Seconds for each call, and for each image in it.

    >>> Cost(call=0.5, image=0.01).of(calls=2, images=100)
    2.0
    """

    call: float = 0.0
    image: float = 0.0

    def of(self, calls: float, images: float) -> float:
        """Seconds of this many calls with so many images in all."""
        return self.call * calls + self.image * images

    def times(self, times: float) -> "Cost":
        """What it costs to do the same so many times."""
        return Cost(times * self.call, times * self.image)

    def images_in(self, seconds: float, batch: int) -> float:
        """How many images fit into so many seconds, in full batches; the first call is free.

        >>> Cost(call=0.5, image=0.25).images_in(4, batch=4), Cost(call=5).images_in(4, batch=9)
        (10.0, 9)
        """
        if self == Cost():
            return math.inf
        full, rest = divmod(seconds, self.of(1, batch))
        more = (rest - self.call) / self.image if self.image and rest > self.call else 0.0
        first = min(batch, seconds / self.image) if self.image else batch
        return max(first, full * batch + more)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.call + other.call, self.image + other.image)


@dataclass(frozen=True)
class Pace:
    """What an audit's work costs."""

    question: Cost
    """Asking the model."""
    step: Cost | None
    """A step along its gradient; None for a black box."""
    judges: Cost
    """Asking all judges."""
    read: float
    """Seconds to read a real image."""
    made: float
    """Seconds to make a garbage image."""
    exactly: bool = False
    """Whether the step is one in float32, because that is quicker."""


def cost_of(
    work: Callable[[Tensor], object], images: Images, clock: Clock, most: int, spare: float = 0.0
) -> Cost:
    """What it costs to do this with images (n, C, H, W), of a few and then of more at once.

    Args:
        work: what is measured; it is done twice with the first two images.
        images: to do it with, again and again.
        clock: returns the time in seconds.
        most: the most images at once.
        spare: seconds that it may take to time more images at once than a very short time shows;
            work that takes more seconds an image is measured with the first two images only.
    """

    def seconds(count: int) -> float:
        some = images.read(torch.arange(count) % len(images))
        best, done = float("inf"), 0
        while done < (_REPEATS if best < _SHORT else 1):
            started = clock()
            work(some)
            best, done = min(best, clock() - started), done + 1
        return best

    few = min(2, most)
    work(images.read(torch.arange(few) % len(images)))  # the first call sets things up
    least = taken = seconds(few)
    count = few
    while count < most and taken < _LONG and (taken < _SHORT or _GROWTH * taken <= spare):
        count = min(_GROWTH * count, most)
        taken = seconds(count)
    if count == few and few < most and least <= few * spare:
        one = min(seconds(1), least)  # tells whether more images take much longer
        count = _larger(_line(1, one, few, least), most, max(spare, _HARDLY_LONGER * least))
        taken = seconds(count) if count > few else taken
    return Cost(image=least / few) if count == few else _line(few, least, count, taken)


def _line(few: int, least: float, count: int, taken: float) -> Cost:
    """The cost at which so few images take the least time, and more of them take the other."""
    image = max(0.0, taken - least) / (count - few)
    call = max(0.0, least - few * image)
    return Cost(call, image if call else taken / count)


def _larger(cost: Cost, most: int, seconds: float) -> int:
    """The size of a larger batch that one call of so many seconds can take, or 2 for none."""
    fit = (seconds - cost.call) / cost.image if cost.image else most
    count = int(min(most, _LARGER, fit))
    return count if count >= min(most, _AT_LEAST) else 2


def quicker_step(
    net: FrozenCopy, images: Images, clock: Clock, most: int, spare: float = 0.0
) -> tuple[Cost, bool]:
    """What a step along the gradient of a frozen copy costs, and whether it is one in float32.

    The processor's own type is tried first. Where that is slow (it is for large linear layers, if
    the processor only imitates it), float32 is tried as well, which leaves the copy in float32.
    """
    batch = min(most, batch_for(net.image_shape, gradient=True))
    cost = step_cost(net, images, clock, batch, spare)
    if net.is_exact or cost.of(1, batch) < _SLOW * batch:
        return cost, False
    net.work_exactly()
    exact = step_cost(net, images, clock, batch, spare)
    return (exact, True) if exact.of(1, batch) < cost.of(1, batch) else (cost, False)


def step_cost(net: FrozenCopy, images: Images, clock: Clock, most: int, spare: float) -> Cost:
    """What a step along the gradient of a frozen copy costs."""

    def step(some: Tensor) -> None:
        leaf = some.to(net.device).requires_grad_(True)
        with torch.enable_grad():
            gradient_of(net.logits(leaf).amax(1), leaf)

    return cost_of(step, images, clock, most, spare)


def read_cost(images: Images, clock: Clock) -> float:
    """Seconds to read one of these images."""
    few = min(8, len(images))
    started = clock()
    images.read(torch.linspace(0, len(images) - 1, few).long())
    return (clock() - started) / few
