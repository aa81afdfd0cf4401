"""How a rival is built and trained: for a given wall time."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel

from benchmarks.rivals.diffusion import Diffusion
from benchmarks.rivals.rival import Rival
from benchmarks.rivals.vae import Vae
from deceive.data.dataset import Dataset, Split
from deceive.networks.modules import device_of
from deceive.networks.precision import working_dtype

# How a rival is trained. The rate rises over the first twentieth and then falls by a cosine.
_BATCH, _LEARNING_RATE, _WEIGHT_DECAY, _WARM_UP = 128, 2e-3, 0.01, 0.05

# The average of the weights reaches back over a share of the training: its relative width is about
# 5%, whatever the length (power function, Karras et al. 2024, equation 2).
_POWER = 16

_Tensors = tuple[Tensor, ...] | list[Tensor]

RIVALS: dict[str, type[Rival]] = {"VAE": Vae, "diffusion": Diffusion}


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


def train(
    rival: Rival,
    split: Split,
    seconds: float,
    *,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Training:
    """Train in place for this many seconds of wall time, and keep the averaged weights.

    AdamW on batches of 128 images, each seen once an epoch in a random order. The learning rate
    follows the clock, and is at its end when the time is.
    """
    device = device_of(rival)
    dtype = working_dtype(device)
    generator = Generator(device).manual_seed(seed)
    parameters = list(rival.parameters())
    averaged = AveragedModel(rival, multi_avg_fn=_follow)
    optimiser = torch.optim.AdamW(
        parameters, _LEARNING_RATE, betas=(0.9, 0.99), weight_decay=_WEIGHT_DECAY, fused=True
    )
    order = torch.empty(0, dtype=torch.int64)
    rival.train()
    steps = images = 0
    started = clock()
    while (share := (clock() - started) / seconds) < 1:
        if not len(order):
            order = torch.randperm(len(split), generator=generator, device=device)
        batch, order = order[:_BATCH], order[_BATCH:]
        pixels = split.images[batch].contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, dtype != torch.float32):
            loss = rival.loss(pixels, split.labels[batch], generator)
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * _fall(share)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        steps += 1
        images += len(batch)
        averaged.update_parameters(rival)
    rival.load_state_dict(averaged.module.state_dict())
    rival.eval()
    return Training(steps, images, clock() - started)


def _follow(averages: _Tensors, values: _Tensors, count: Tensor | int) -> None:
    """Move averages over this many values, in place, towards the next value."""
    share = 1 - (1 - 1 / (int(count) + 1)) ** (_POWER + 1)
    for average, value in zip(averages, values, strict=True):
        average.lerp_(value, share)


def _fall(share: float) -> float:
    """The learning rate, in [0, 1], after a share of the training."""
    return min(1, share / _WARM_UP) * (1 + math.cos(math.pi * share)) / 2
