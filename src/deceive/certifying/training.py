"""The detector: a small network that tells real images from garbage, with bounds that are tight."""

import time
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.optim import Adam

from deceive.certifying.boxes import Box
from deceive.certifying.core import apart
from deceive.certifying.garbage import KINDS, OF_REAL
from deceive.certifying.outputs import outputs_of
from deceive.certifying.settings import DetectorSettings
from deceive.common import arguments, checks, processes
from deceive.common.flags import command_line, flags_of
from deceive.data.again import data_flags
from deceive.data.dataset import Dataset
from deceive.networks.architectures import DETECTOR
from deceive.networks.classifier import Classifier
from deceive.networks.inference import logits_of
from deceive.storage.card import Card
from deceive.training.augmenting import augment
from deceive.training.fit import TrainingProgress
from deceive.training.settings import TrainingSettings

PASSING = 8.0
"""The log-odds h that a real image gets or exceeds to pass: a guarded network then loses at most
e⁻⁸ of its confidence in it."""

# The log-odds at which a confidence of 0.99 can be ruled out, a little below log 99.
_REFUSED = 4.5

# How far below the passing ones an image has to be to be refused, as a share of how far above them
# the median of the real images is.
_GAP = 0.05

# Parts in the mixture; all that isn't named has one.
_SHARES = {
    "silhouettes": 3.0,
    "strokes": 0.5,
    "stripes": 0.7,
    "patchwork": 0.7,
    "swollen": 0.5,
    "inverted": 0.3,
}

# Garbage made at a time, and the most bytes of all.
_AT_ONCE, _MEMORY = 2000, 2**28

# Half of the real images are moved a little.
_LIGHT = TrainingSettings(rotation=10, scaling=0.1, translation=2, elasticity=0)


@arguments.taking(
    data=arguments.of("a Dataset", Dataset),
    settings=arguments.of("DetectorSettings", DetectorSettings),
    callback=arguments.maybe(arguments.function),
)
def train_detector(
    data: Dataset,
    *,
    seed: int = 0,
    settings: DetectorSettings | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
) -> tuple[Classifier, Card]:
    """Train a detector of images like these, whose bounds around garbage are tight.

    Its log-odds h, the first logit less the second, are to be high for real images, and low for
    everything within ε of garbage: the loss there is that of the upper interval bound (Gowal et al.
    2018; as in GOOD, Bitterwolf, Meinke and Hein 2020). Garbage is made of eleven kinds, none of
    them photographs. At the end h is scaled on the validation images: the share `settings.kept` of
    them gets at least `PASSING`.

    Args:
        data: real images. Their labels are not used.
        seed: for the weights, the garbage, the order and the augmentation.
        settings: how; by default a detector for ε = 0.3.
        callback: called after every step with a `TrainingProgress`.

    Returns:
        The detector, to be used as `Guarded(…, detector=…)`, and its card, whose accuracies are the
        shares of real images that pass.

    Raises:
        InputError: when an argument is of another kind or out of range.
    """
    checks.seed("seed", seed, checks.SEEDS)
    settings = settings or DetectorSettings()
    device = processes.here().device
    pixels = data.train.images.float()
    with processes.seeded(seed, torch.device("cpu")):
        network = Classifier(
            DETECTOR,
            2,
            data.image_shape,
            mean=round(pixels.mean().item(), 4),
            std=round(pixels.std().item(), 4),
        ).to(device)
    started = time.perf_counter()
    batches = _batches(data.train.images, settings, seed)
    optimiser = Adam(network.parameters(), settings.learning_rate, fused=True)
    for step, (real, garbage) in enumerate(batches):
        done = step / settings.steps
        epsilon = settings.epsilon * min(1, done / 0.6)
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(1, (step + 1) / 200, (1 - done) / 0.4)
        loss = _loss(network, real.to(device), garbage.to(device), epsilon, settings.weight)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if callback is not None:
            an_epoch = len(pixels) / settings.batch_size
            callback(TrainingProgress(step + 1, settings.steps, step / an_epoch, loss.item()))
    network.eval().cpu()
    return network, _finished(network, data, settings, seed, time.perf_counter() - started)


def _loss(
    network: Classifier, real: Tensor, garbage: Tensor, epsilon: float, weight: float
) -> Tensor:
    """The log-loss of real images, and of the greatest log-odds around garbage.

    The logarithm keeps garbage that looks like real images from dominating the loss.
    """
    logits = network(real)
    missed = F.softplus(logits[:, 1] - logits[:, 0])
    box = Box((garbage - epsilon).clamp(0, 1), (garbage + epsilon).clamp(0, 1))
    passed = F.softplus(apart(outputs_of(network, box)).upper)
    return weight * missed.mean() + 2 * passed.log1p().mean()


def _batches(
    images: Tensor, settings: DetectorSettings, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Real images and garbage (batch_size, C, H, W), as many times as there are steps."""
    generator = Generator().manual_seed(seed)
    size = settings.batch_size
    heap = garbage_of(images, settings.garbage, generator)
    for _ in range(settings.steps):
        real = images[torch.randint(len(images), (size,), generator=generator)].float()
        moved = augment(real[size // 2 :], _LIGHT, generator)
        chosen = torch.randint(len(heap), (size,), generator=generator)
        yield torch.cat([real[: size // 2], moved]), heap[chosen].float() / 255


def garbage_of(images: Tensor, count: int, generator: Generator) -> Tensor:
    """About `count` images of garbage, of all kinds, as levels 0 to 255 (uint8).

    Less than a quarter of a gigabyte of them.
    """
    channels, height, width = images.shape[1:]
    count = min(count, _MEMORY // (channels * height * width))
    whole = sum(_SHARES.get(name, 1.0) for name in (*KINDS, *OF_REAL))
    made = []
    for name in (*KINDS, *OF_REAL):
        left = round(count * _SHARES.get(name, 1.0) / whole)
        while left > 0:
            n = min(left, _AT_ONCE)
            if name in KINDS:
                each = KINDS[name](n, (channels, height, width), generator)
            else:
                chosen = torch.randint(len(images), (n,), generator=generator)
                each = OF_REAL[name](images[chosen].float(), generator)
            made.append(each.mul(255).round().to(torch.uint8))
            left -= n
    return torch.cat(made)


def _finished(
    network: Classifier, data: Dataset, settings: DetectorSettings, seed: int, seconds: float
) -> Card:
    """Scale the detector, and describe it."""
    odds = _odds(network, data.validation.images)
    passing = odds.quantile(1 - settings.kept, interpolation="lower")
    factor = (PASSING - _REFUSED) / (_GAP * (odds.median() - passing).clamp_min(1e-3)).item()
    network.temper(factor)
    with torch.no_grad():
        network.head.bias[0] += PASSING - factor * passing.item() + 1e-3  # float32's rounding
    shares = [
        (_odds(network, each.images) >= PASSING).double().mean().item()
        for each in (data.validation, data.test)
    ]
    return Card(
        architecture=network.architecture,
        n_outputs=2,
        image_shape=network.image_shape,
        seed=seed,
        settings=settings.model_dump(),
        data_checksum=data.checksum,
        seconds=round(seconds, 2),
        temperature=1 / factor,
        validation_accuracy=shares[0],
        test_accuracy=shares[1],
        command=command_line(
            "train",
            "--recipe",
            DETECTOR,
            "--seed",
            str(seed),
            *data_flags(data),
            *flags_of(settings, DetectorSettings()),
        ),
        torch=torch.__version__,
    )


def _odds(network: Classifier, images: Tensor) -> Tensor:
    logits = logits_of(network, images.float()).double()
    return logits[:, 0] - logits[:, 1]
