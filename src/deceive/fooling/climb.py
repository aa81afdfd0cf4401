"""`climb`: a fixed number of steps up the gradient, the step that all optimising is made of."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.levels import Bounds, to_levels
from deceive.fooling import checked
from deceive.fooling.batch import Batch, Entrance
from deceive.fooling.gradient import check_finite, gradient_of, is_flat
from deceive.fooling.objectives import Objective
from deceive.fooling.rules import RULES, Ascent
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import confidence_of


class Look(NamedTuple):
    """What the network answers about a batch of n images, in the ascent's noise."""

    images: Tensor
    """(n, C, H, W), the leaf of the graph."""
    logits: Tensor
    """(n, K)."""
    score: Tensor
    """(n,), the objective."""


@dataclass(frozen=True)
class Climber:
    """How the images of a batch take their steps against one network."""

    net: FrozenCopy
    ascent: Ascent
    objective: Objective
    bounds: Bounds
    steps: int
    """The most that an image takes."""

    def look(self, batch: Batch) -> Look:
        """Ask the network in the ascent's noise, and keep the graph."""
        images = batch.images.detach().requires_grad_(True)
        sigma = self.ascent.noise_after(batch.begun + batch.taken) * self._width
        with torch.enable_grad():
            logits = self.net.logits(self._in_noise(images, sigma, batch), sigma)
            return Look(images, logits, self.objective(logits, batch.target))

    def confidence(self, batch: Batch, look: Look) -> Tensor:
        """The confidence (n,) in each target, without noise."""
        plain = self.net.logits(batch.images.detach()) if self.ascent.noise else look.logits
        return confidence_of(plain.detach(), batch.target)

    def step(self, batch: Batch, look: Look | None = None, staying: Tensor | None = None) -> Batch:
        """All images one step further, or only those where `staying` (n,) is true.

        `look` is what the network answers about this batch, if it was asked already.
        """
        look = look or self.look(batch)
        gradient = gradient_of(look.score, look.images)
        if staying is not None:
            batch, gradient = batch.where(staying), gradient[staying]
        check_finite(gradient)
        flat = batch.flat
        if (last := batch.taken == self.steps - 1).any():
            flat = torch.where(last, is_flat(gradient), flat)

        # A pixel that a bound holds back counts for nothing.
        images, (low, high) = batch.images.detach(), self.bounds
        held = ((images <= low) & (gradient < 0)) | ((images >= high) & (gradient > 0))
        gradient = gradient.masked_fill(held, 0)
        memory = batch.memory.masked_fill(held[:, None], 0)

        move = RULES[self.ascent.rule].move(gradient, memory, batch.taken, self.ascent.momentum)
        size = self.ascent.size_after(batch.begun + batch.taken)
        reach = move.reach * size * self._width
        images = images.addcmul(reach[:, None, None, None], move.direction).clamp_(low, high)
        return replace(batch, images=images, memory=move.state, taken=batch.taken + 1, flat=flat)

    @property
    def _width(self) -> float:
        low, high = self.bounds
        return high - low

    def _in_noise(self, images: Tensor, sigma: Tensor, batch: Batch) -> Tensor:
        """The images with gaussian noise of standard deviations `sigma` (n,)."""
        if not self.ascent.noise:
            return images
        noise = torch.empty(images.shape, dtype=torch.float32, device="cpu")
        for each, fill in zip(noise, batch.noise, strict=True):
            fill(each)
        return images + noise.to(images.device).mul_(sigma[:, None, None, None])


@arguments.taking(
    images=arguments.images,
    ascent=arguments.of("an Ascent", Ascent),
    begun=arguments.maybe(arguments.tensor),
    objective=arguments.name_or_function,
    bounds=arguments.pair,
)
@torch.inference_mode(False)  # inference mode has no gradients
def climb(
    model: nn.Module | FrozenCopy,
    images: Tensor,
    targets: int | Iterable[int] | Tensor,
    ascent: Ascent,
    *,
    steps: int,
    begun: Tensor | None = None,
    seed: int = 0,
    objective: str | Objective = "log_odds",
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Take a fixed number of steps with each image, in one batch and in this process.

    That is all `draw` and the rounds need: nothing is measured, and no image stops early. `fool`
    optimises until the network is sure.

    >>> import torch
    >>> from torch import nn
    >>> from deceive import Ascent, climb
    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    >>> _ = network[1].weight.data.copy_(torch.tensor([[4, 4, 0, 0], [0, 0, 4, 4.0]]))
    >>> ascent = Ascent(rule="sign", step_size=0.125)
    >>> climb(network, torch.full((1, 1, 2, 2), 0.5), [0], ascent, steps=2).flatten().tolist()
    [191, 191, 64, 64]

    Args:
        model: images (N, C, H, W) within `bounds` in, logits (N, K) out; or a frozen copy of one.
        images: (N, C, H, W), where the steps begin; not changed.
        targets: (N,) class indices.
        ascent: how an image climbs.
        steps: how many steps each image takes.
        begun: (N,) int64, the steps that each image took in earlier calls; they count for the
            ascent's schedule, which goes on from there.
        seed: for the ascent's noise; every image has a random generator of its own.
        objective: a name from `objectives.OBJECTIVES`, or a function of logits (N, K) and targets
            (N,) that gives one scalar per image, (N,).
        bounds: the least and the greatest value of a pixel.

    Returns:
        (N, C, H, W) uint8, on the CPU: the images as a PNG would hold them.

    Raises:
        InputError: a `ValueError`, for anything out of range, and for a model that doesn't give
            finite logits (N, K) with a gradient.
    """
    checks.at_least("steps", steps, 0, checks.MOST)
    checks.seed("seed", seed)
    bounds = checked.bounds(bounds)
    wanted = checked.targets(targets, 1, images.shape[1:])
    starts = checked.starts_given("images", images, len(wanted), bounds)
    net = checked.frozen(model, starts, wanted, bounds)
    climber = Climber(net, ascent, checked.objective(objective), bounds, steps)
    before = checked.begun(begun, len(wanted)).to(net.device)
    entrance = Entrance(starts, wanted.to(net.device), ascent, seed, before)
    batch = entrance.batch(range(len(wanted)))
    for _ in range(steps):
        batch = climber.step(batch)
    return to_levels(batch.images, bounds).cpu()
