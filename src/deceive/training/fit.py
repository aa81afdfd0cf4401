"""Train a network on labelled images held in memory."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from deceive.common import arguments, checks, processes
from deceive.common.errors import InputError
from deceive.networks.answers import answer_of
from deceive.networks.classifier import Classifier
from deceive.networks.modules import device_of, float_type
from deceive.networks.precision import working_dtype
from deceive.training.adversary import attacked
from deceive.training.batches import Batches
from deceive.training.settings import TrainingSettings


class TrainingProgress(NamedTuple):
    """Where a call of `fit` stands, given to its callback after every step."""

    step: int
    """Steps taken, from 1."""
    steps: int
    """Of how many."""
    epoch: float
    """Passes over the images so far."""
    loss: float
    """Of the last batch."""


@arguments.taking(
    network=arguments.module,
    images=arguments.images,
    labels=arguments.labels,
    settings=arguments.maybe(arguments.of("TrainingSettings", TrainingSettings)),
    still=arguments.maybe(arguments.mask),
    callback=arguments.maybe(arguments.function),
)
def fit(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: TrainingSettings | None = None,
    *,
    seed: int = 0,
    still: Tensor | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
) -> float:
    """Train `network` in place, and leave it in evaluation mode.

    Among several processes (`processes.join`) each takes its share of every batch, and gradients
    are averaged. Each process has its own augmentation, dropout and batch statistics; the last are
    averaged at the end.

        >>> import torch
        >>> from torch import nn
        >>> from deceive import TrainingSettings, fit
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> images, settings = torch.rand(20, 1, 4, 4), TrainingSettings(epochs=1, batch_size=10)
        >>> fit(network, images, torch.arange(20) % 2, settings) > 0
        True

    Args:
        network: images (N, C, H, W) in [0, 1] in, logits (N, K) out.
        images: (N, C, H, W) of any float type, in [0, 1].
        labels: (N,) of whole numbers, 0 to K - 1.
        settings: how; the defaults are the `fast` network's.
        seed: for the order, the augmentation and dropout.
        still: (N,) bool, the images that augmentation leaves alone; none by default.
        callback: called after every step with a `TrainingProgress`.

    Returns:
        Seconds of wall time.

    Raises:
        InputError: when images, labels, `still` and the network's logits don't fit each other,
            when the network fails on the images or has nothing to train, when there isn't a batch
            to train on or it has not 2 images for each process, or when the loss is no longer
            finite.
    """
    checks.seed("seed", seed)
    settings = settings or TrainingSettings()
    batches = Batches(images, labels, settings, seed, still)
    device = _device(network)
    loss_of = _loss_of(network, labels, settings, device)
    optimiser, schedule = _optimiser(network, settings, len(batches))
    started = time.perf_counter()
    if isinstance(network, Classifier):  # others may use `view`, which fails then
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.train()
    # Dropout draws from the global generators.
    with processes.seeded(seed + processes.here().rank, device):
        for step, (x, y) in enumerate(batches, 1):
            x, y = x.to(device, float_type(network)), y.to(device)
            if settings.adversarial_radius:
                x = attacked(x, y, loss_of, settings, batches.generator)
            loss = batches.weight * loss_of(x, y)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            value = _averaged(network, loss)
            optimiser.step()
            schedule.step()
            _check_finite(value, step - 1)
            if callback is not None:
                callback(TrainingProgress(step, len(batches), step / batches.an_epoch, value))
    processes.average_([each for each in network.buffers() if each.is_floating_point()])
    network.eval()
    return time.perf_counter() - started


def _device(network: nn.Module) -> torch.device:
    """Where it is trained, if it has something to train."""
    if not any(each.requires_grad for each in network.parameters()):
        raise InputError("network: expected parameters to train, got none with requires_grad")
    device = device_of(network)
    if device.type == "meta":
        raise InputError("network: expected weights in memory, got some on the meta device")
    return device


def _loss_of(
    network: nn.Module, labels: Tensor, settings: TrainingSettings, device: torch.device
) -> Callable[[Tensor, Tensor], Tensor]:
    """The cross-entropy of a batch, a scalar, worked out in the device's quickest type."""
    dtype = working_dtype(device)
    extremes = torch.stack(labels.long().aminmax()).cpu()

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype, dtype != torch.float32):
            logits = answer_of("network", network, x)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(y):
            raise arguments.refusal("network", f"logits ({len(y)}, K) out", logits)
        arguments.within_classes("labels", extremes, logits.shape[1], "network")
        return F.cross_entropy(logits.float(), y, label_smoothing=settings.label_smoothing)

    return loss_of


def _optimiser(
    network: nn.Module, settings: TrainingSettings, steps: int
) -> tuple[Optimizer, LRScheduler]:
    rate, decay = settings.learning_rate, settings.weight_decay
    optimiser = AdamW(network.parameters(), rate, weight_decay=decay, fused=True)
    if settings.schedule == "constant":
        return optimiser, ConstantLR(optimiser, factor=1)
    return optimiser, OneCycleLR(optimiser, rate, total_steps=steps + 1)


def _averaged(network: nn.Module, loss: Tensor) -> float:
    """The mean loss over all processes; the gradients become their means too."""
    mean = loss.detach()
    gradients = [each.grad for each in network.parameters() if each.grad is not None]
    processes.average_([*gradients, mean])
    return mean.item()


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"training: expected a finite loss, got {loss} at step {step}; "
            "a smaller learning rate may help"
        )
