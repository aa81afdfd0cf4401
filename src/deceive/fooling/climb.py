"""`climb`: a fixed number of steps up the gradient, as used by `draw` and the rounds."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.levels import UNIT, Bounds, to_levels
from deceive.fooling import checked
from deceive.fooling.ascent import Ascent
from deceive.fooling.batch import Entrance
from deceive.fooling.climber import Climber
from deceive.fooling.objectives import Objective
from deceive.fooling.starts import given_starts
from deceive.networks.frozen import FrozenCopy


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
    bounds: Bounds = UNIT,
) -> Tensor:
    """Take a fixed number of steps with each image, in one batch and in this process.

    Nothing is measured, and no image stops early; `fool` optimises until the network is sure.

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
    checked.aimless("ascent", ascent)
    bounds = checked.bounds(bounds)
    wanted = checked.targets(targets, 1, images.shape[1:])
    starts = given_starts("images", images, len(wanted), bounds)
    net = checked.frozen(model, starts, wanted, bounds)
    climber = Climber(net, ascent, checked.objective(objective), bounds, steps)
    before = checked.begun(begun, len(wanted)).to(net.device)
    entrance = Entrance(starts, wanted.to(net.device), ascent, seed, before)
    batch = entrance.batch(range(len(wanted)))
    for _ in range(steps):
        batch = climber.step(batch)
    return to_levels(batch.images, bounds).cpu()
