"""Leading: teaching a network where its gradient should lead, from the images on the way there."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from deceive.data.dataset import Split
from deceive.fooling.ascent import Ascent
from deceive.fooling.objectives import log_odds
from deceive.fooling.softening import softened
from deceive.fooling.starts import begin
from deceive.teaching.kind import logits_in, steepness
from deceive.teaching.settings import EmergingSettings

# A network is led in one round of so many.
_LED = 2


class Slope(NamedTuple):
    """The gradient at images on the way, on average: two scalars with a graph."""

    astray: Tensor
    """1 - cosine between the gradient and the way, in [0, 2]."""
    steepness: Tensor
    """See `kind.steepness`."""


def lead(
    network: nn.Module,
    digits: Split,
    settings: EmergingSettings,
    count: int,
    generator: Generator,
    number: int,
) -> None:
    """Add the gradient of two penalties in every other round, twice over: on both of `Slope`."""
    if number % _LED == 0:
        of = slope_on_the_way(network, digits, settings.ascent, settings.start, count, generator)
        penalty = settings.leading * of.astray + settings.smoothness / 2 * of.steepness
        (_LED * penalty).backward()  # type: ignore[no-untyped-call]


def slope_on_the_way(
    network: nn.Module, digits: Split, ascent: Ascent, start: str, count: int, generator: Generator
) -> Slope:
    """Where the gradient leads on the straight way from a start to a real image, and how steeply.

    There the gradient for the real image's class should lead to that image. Of the ways through one
    image, a network can only follow their mean, as in flow matching (Lipman et al. 2023), from
    which the way to a real image is taken. There the gradient's length is learned too, but here
    every step has a length of its own (`Ascent.size_after`).

    Args:
        network: takes the noise's standard deviations as a second argument.
        digits: the real images.
        ascent: how images climb, with a schedule.
        start: where they begin, a name from `starts.STARTS`.
        count: how many images to ask about.
        generator: draws real images, starts, places on the way, and noise.
    """
    schedule = ascent.schedule
    assert schedule is not None
    chosen = torch.randint(len(digits), (count,), generator=generator)
    taken = torch.randint(schedule.steps, (count,), generator=generator)
    seed = int(torch.randint(2**60, (), generator=generator))
    real, labels = digits.images[chosen], digits.labels[chosen]
    _, channels, height, width = real.shape
    starts = begin(start, range(count), (channels, height, width), seed)

    # Steps grow shorter in proportion to what is left of the schedule, so this is left of the way.
    left = schedule.left(taken).square()[:, None, None, None]
    images, sigma = torch.lerp(real, starts, left), ascent.noise_after(taken)
    noise = torch.randn(images.shape, generator=generator) * sigma[:, None, None, None]
    device = next(network.parameters()).device
    asked = (images + noise).to(device).requires_grad_()
    logits = logits_in(network, asked, sigma.to(device))
    score = log_odds(logits, labels.to(device))
    (gradient,) = torch.autograd.grad(score.sum(), asked, create_graph=True)

    steep = steepness(gradient, sigma.to(device))
    # As in a step (`Climber.step`).
    if ascent.softness:
        gradient = softened(gradient, ascent.softness * sigma.to(device))
    images, way = images.to(device), (real - images).to(device)
    held = ((images <= 0) & (gradient < 0)) | ((images >= 1) & (gradient > 0))
    gradient = gradient.masked_fill(held, 0)
    cosine = F.cosine_similarity(gradient.flatten(1), way.flatten(1))
    return Slope(1 - cosine.mean(), steep)
