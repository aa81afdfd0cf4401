"""Our entries: small convolutional networks, and `fit` with plans of a few epochs.

Batch normalisation's statistics are measured again on images as they are, once the weights are
final. During training they are those of augmented images, which sampling has blurred (Touvron et
al. 2019 on what such a difference costs).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deceive.networks.classifier import MNIST_MEAN, MNIST_STD
from deceive.training.fit import fit
from deceive.training.settings import TrainingSettings


class Strokes(nn.Module):
    """Pixels in [0, 1] to those of mean 0 and standard deviation 1, in training of other strokes.

    A brighter image, cut off at 1, has thicker strokes; a darker one has thinner ones.
    """

    def __init__(self, least: float, greatest: float) -> None:
        super().__init__()
        self.least, self.greatest = least, greatest

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W)."""
        if self.training and self.greatest > self.least:
            brighter = torch.empty(len(images), 1, 1, 1).uniform_(self.least, self.greatest).exp()
            images = (images * brighter).clamp(max=1)
        return (images - MNIST_MEAN) / MNIST_STD


def folded(widths: tuple[int, int, int]) -> list[nn.Module]:
    """Layers at 14×14, 7×7 and 7×7 pixels, after these have been folded 2×2 into channels.

    Strides halve the sides: most of the work is done at a sixteenth of the pixels.
    """
    first, second, third = widths
    return [
        nn.PixelUnshuffle(2),
        *_block(4, first),
        *_block(first, second, stride=2),
        *_block(second, third),
    ]


def pooled(widths: tuple[int, int]) -> list[nn.Module]:
    """Two layers at full size and two at 14×14 pixels, each pair followed by max-pooling.

    Pooling before normalisation leaves a quarter as much to normalise and to activate.
    """
    first, second = widths
    return [
        *_block(1, first),
        *_block(first, first, pool=True),
        *_block(first, second),
        *_block(second, second, pool=True),
    ]


def _block(channels: int, width: int, *, stride: int = 1, pool: bool = False) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
    pooling = [nn.MaxPool2d(2)] if pool else []
    return [convolution, *pooling, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained."""

    level: float
    """The accuracy that it is for."""
    widths: tuple[int, int, int] | tuple[int, int]
    """Channels of the layers: three for `folded`, two for `pooled`."""
    settings: TrainingSettings
    """Of `fit`."""
    strokes: tuple[float, float] = (0, 0)
    """Range of the logarithm of what each image's brightness is multiplied by."""
    hidden: int = 128
    """Features before the last layer."""
    images: int = 5000
    """Images that the statistics are measured on again at the end."""

    @property
    def about(self) -> str:
        """In a few words."""
        kind = "strided" if len(self.widths) == 3 else "pooled"
        widths = "-".join(str(width) for width in self.widths)
        epochs = self.settings.epochs
        return f"{kind}, {widths} channels, {epochs:g} epoch{'s' * (epochs != 1)}"

    def train(self, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
        """A trained network, in evaluation mode."""
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            network = self.network()
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        fit(network, images, labels, self.settings, seed=seed)
        measure_again(network, images[: self.images])
        return network

    def network(self) -> nn.Sequential:
        """The layers, untrained."""
        layers = folded(self.widths) if len(self.widths) == 3 else pooled(self.widths)
        return nn.Sequential(
            Strokes(*self.strokes),
            *layers,
            nn.Flatten(),
            nn.Linear(self.widths[-1] * 7 * 7, self.hidden, bias=False),
            nn.BatchNorm1d(self.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(self.hidden, 10),
        )


@torch.no_grad()
def measure_again(network: nn.Module, images: Tensor, batch: int = 500) -> None:
    """Set the running statistics of batch normalisation to those of images (N, C, H, W)."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.train().momentum = None  # the mean of all batches
    for part in images.split(batch):
        network(part)
    network.eval()


# Little training bears little augmentation.
_LIGHT = TrainingSettings(rotation=5, scaling=0.05, translation=1, elasticity=0.3)
_STROKES = (-0.3, 0.5)


def _epochs(count: float, settings: TrainingSettings | None = None) -> TrainingSettings:
    return (settings or TrainingSettings()).model_copy(update={"epochs": count})


RECIPES = {
    "99.0": Recipe(0.99, (16, 32, 32), _epochs(1, _LIGHT)),
    "99.2": Recipe(0.992, (16, 32, 32), _epochs(1.75, _LIGHT)),
    "99.5": Recipe(0.995, (24, 48, 48), _epochs(5.5), _STROKES),
    "99.65": Recipe(0.9965, (16, 32), _epochs(9), _STROKES),
}
"""By the level that each is for, in percent."""
