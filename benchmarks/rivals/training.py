"""How a rival is built and trained: for a given wall time."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator

from benchmarks.rivals.diffusion import Diffusion
from benchmarks.rivals.flow import DiscriminatorFlow
from benchmarks.rivals.jem import Jem
from benchmarks.rivals.rival import Rival
from benchmarks.rivals.state import State
from benchmarks.rivals.vae import Vae
from deceive.data.dataset import Dataset, Split
from deceive.networks.modules import device_of
from deceive.networks.precision import working_dtype

# The share of a training over which the learning rate rises. Then it falls by a cosine.
_WARM_UP = 0.05

RIVALS: dict[str, type[Rival]] = {
    "VAE": Vae,
    "diffusion": Diffusion,
    "Discriminator Flow": DiscriminatorFlow,
    "JEM": Jem,
}


def build(name: str, data: Dataset, *, seed: int) -> Rival:
    """An untrained rival of that name in `RIVALS` for `data`, its weights drawn with `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rival = RIVALS[name](data.image_shape, data.n_classes)
    return rival.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Training(NamedTuple):
    """What a training took."""

    steps: int
    images: int
    """With repetition."""
    seconds: float
    restarts: int
    """How often it went back because it had diverged."""


def train(
    rival: Rival,
    split: Split,
    seconds: float,
    *,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Training:
    """Train in place for this many seconds of the clock, and keep the averaged weights.

    AdamW by the rival's recipe, on batches of images, each seen once an epoch in a random order.
    The learning rate follows the clock, and is at its end when the time is. A training that
    diverges goes back to where it was 100 to 200 steps before, with other batches, other noise and
    a new objective.
    """
    device = device_of(rival)
    dtype = working_dtype(device)
    generator = Generator(device).manual_seed(seed)
    recipe = rival.recipe
    state = State(rival)
    objective = rival.objective(split, generator)
    order = torch.empty(0, dtype=torch.int64)
    rival.train()
    steps = images = 0
    started = clock()
    while (share := (clock() - started) / seconds) < 1:
        if not len(order):
            order = torch.randperm(len(split), generator=generator, device=device)
        batch, order = order[: recipe.batch], order[recipe.batch :]
        pixels = split.images[batch].contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, dtype != torch.float32):
            loss = objective(pixels, split.labels[batch])
        if not state.follow(loss, recipe.learning_rate * _fall(share)):
            objective = rival.objective(split, generator)
        steps += 1
        images += len(batch)
    state.take_averages()
    rival.eval()
    return Training(steps, images, clock() - started, state.restarts)


def _fall(share: float) -> float:
    """The learning rate, in [0, 1], after a share of the training."""
    return min(1, share / _WARM_UP) * (1 + math.cos(math.pi * share)) / 2
