"""Training a judge: a small network that reads images of any size at 64 pixels at most."""

import copy
import math
import time

import torch
from torch import Tensor, nn

from deceive.common import processes
from deceive.common.flags import command_line
from deceive.common.levels import Shape
from deceive.common.progress import Tick
from deceive.common.seeds import generator_for
from deceive.data.again import place_flags
from deceive.data.dataset import Labelled, RealData
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Network
from deceive.networks.inference import accuracy
from deceive.networks.shrinking import fitting, shrunk
from deceive.storage.card import Card
from deceive.training.fit import fit
from deceive.training.recipes import RECIPES
from deceive.training.settings import TrainingSettings

EXAMINED = 1000
"""At most this many validation and test images tell how well it reads."""

_ARCHITECTURE = "fast"

# It is trained on at most this many values (in half precision), for at most this many epochs, and
# is shown at most this many pixels in all: what two cores do in half a minute.
_VALUES, _EPOCHS, _PIXELS = 150_000_000, 40, 200_000_000

# However little time there is, it is trained on so many images, and shown so many in all.
_LEAST_READ, _LEAST_SHOWN = 2000, 15_000

# Images that are read at once, and the most in a step.
_BATCH = 250


class Shrinking(nn.Module):
    """A network that is shown images of any size, and reads them at its own."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]."""
        logits: Tensor = self.network(shrunk(images, self.network.image_shape))
        return logits


def trained_on(
    data: RealData, images: Labelled, seed: int, seconds: float, tick: Tick
) -> tuple[Classifier, Card]:
    """A network for the data, trained on images of it, with its card.

    Args:
        data: its validation and test images tell how well it reads.
        images: the training images.
        seed: for the weights, the choice of images and their order.
        seconds: how long this may take, roughly.
        tick: called after every step.
    """
    started = time.perf_counter()
    shape = fitting(data.image_shape)
    x, y = _read(images, shape, seed, seconds / 3)
    with processes.seeded(seed, torch.device("cpu")):
        mean, std = (round(each.item(), 4) for each in (x.float().mean(), x.float().std()))
        network = Classifier(_ARCHITECTURE, data.n_classes, shape, mean=mean, std=max(std, 1e-3))
    settings = _settings(network, x, y, seconds - (time.perf_counter() - started))
    fit(network, x, y, settings, seed=seed, callback=lambda now: tick(now.step, now.steps))
    held_out, test = (_accuracy(network, split) for split in (data.validation, data.test))
    return network, Card(
        architecture=_ARCHITECTURE,
        n_outputs=data.n_classes,
        image_shape=shape,
        seed=seed,
        settings=settings.model_dump(),
        data_checksum=data.checksum,
        seconds=round(time.perf_counter() - started, 2),
        validation_accuracy=held_out,
        test_accuracy=test,
        command=command_line(
            "audit", "MODEL", *place_flags(data), "--judge", "train", "--seed", str(seed)
        ),
        torch=torch.__version__,
    )


def _read(images: Labelled, shape: Shape, seed: int, seconds: float) -> tuple[Tensor, Tensor]:
    """Training images at the size (C, h, w) that it reads, and labels: as many as time allows."""
    most = min(len(images), max(1, _VALUES // math.prod(shape)))
    chosen = torch.randperm(len(images), generator=generator_for(seed, 0, "judge"))[:most]
    started, read = time.perf_counter(), []
    for which in torch.split(chosen, _BATCH):
        read.append(shrunk(images.read(which), shape).half())
        if len(read) * _BATCH >= _LEAST_READ and time.perf_counter() - started > seconds:
            break
    x = torch.cat(read)
    return x, images.labels[chosen[: len(x)]]


def _settings(network: Classifier, x: Tensor, y: Tensor, seconds: float) -> TrainingSettings:
    """How it is trained: less long if the time would not do."""
    batch = min(_BATCH, max(8, len(x) // 20))
    shown = min(_EPOCHS * len(x), _PIXELS // math.prod(network.image_shape[1:]))
    side, usual = max(network.image_shape[1:]), RECIPES[_ARCHITECTURE]
    settings = usual.model_copy(
        update={
            "batch_size": batch,
            "epochs": round(shown / len(x), 2),
            # In pixels, made for MNIST's 28.
            "translation": min(usual.translation, usual.translation * side / 28),
            "elasticity": min(usual.elasticity, usual.elasticity * side / 28),
        }
    )
    some, trial = slice(2 * batch), settings.model_copy(update={"epochs": 1})
    took = [fit(copy.deepcopy(network), x[some], y[some], trial) for _ in range(2)]
    possible = max(seconds / max(min(took) / 2, 1e-6) * batch, min(shown, _LEAST_SHOWN))
    if possible < shown:
        settings = settings.model_copy(update={"epochs": round(possible / len(x), 2)})
    return settings


def _accuracy(network: Classifier, split: Labelled) -> float:
    places = torch.linspace(0, len(split) - 1, min(EXAMINED, len(split))).round().long()
    images = torch.cat(
        [shrunk(split.read(each), network.image_shape) for each in torch.split(places, _BATCH)]
    )
    return accuracy(network, images, split.labels[places])
