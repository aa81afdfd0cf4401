"""Our entries: strided convolutions on pixels folded 2×2 into channels, and `fit` with short plans.

Batch normalisation's statistics are measured again on images as they are, once the weights are
final. During training they are those of augmented images, which are blurred by sampling and
therefore differ from what the network is to read (Touvron et al. 2019).
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


@dataclass(frozen=True)
class Recipe:
    """A network and how it is trained."""

    level: float
    """The accuracy that it is for."""
    widths: tuple[int, ...]
    """Channels of the convolutions at 14×14, 7×7 and 7×7 pixels; of a fourth at 4×4."""
    settings: TrainingSettings
    """Of `fit`."""
    hidden: int = 128
    """Features before the last layer."""
    strokes: tuple[float, float] = (0, 0)
    """Range of the logarithm of what each image's brightness is multiplied by."""
    images: int = 5000
    """Images that the statistics are measured on again at the end."""

    @property
    def about(self) -> str:
        """In a few words."""
        widths = "-".join(str(width) for width in self.widths)
        return f"{widths} channels, {self.settings.epochs:g} epochs"

    def train(self, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
        """A trained network, in evaluation mode."""
        with torch.random.fork_rng([]):
            torch.manual_seed(seed)
            network = self.network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        fit(network, images, labels, self.settings, seed=seed)
        measure_again(network, images[: self.images])
        return network

    def network(self) -> nn.Sequential:
        """The layers, untrained."""
        layers: list[nn.Module] = [Strokes(*self.strokes), nn.PixelUnshuffle(2)]
        channels, side = 4, 14
        for number, width in enumerate(self.widths):
            stride = 2 if number in (1, 3) else 1
            layers += [
                nn.Conv2d(channels, width, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            channels, side = width, -(-side // stride)
        return nn.Sequential(
            *layers,
            nn.Flatten(),
            nn.Linear(channels * side**2, self.hidden, bias=False),
            nn.BatchNorm1d(self.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(self.hidden, 10),
        )


# Little training bears little augmentation.
_LIGHT = {"rotation": 5, "scaling": 0.05, "translation": 1, "elasticity": 0.3}

RECIPES = {
    "99.0": Recipe(0.99, (16, 32, 32), TrainingSettings(epochs=1, **_LIGHT)),
    "99.2": Recipe(0.992, (16, 32, 32), TrainingSettings(epochs=1.75, **_LIGHT)),
    "99.5": Recipe(0.995, (24, 48, 48), TrainingSettings(epochs=4.5), strokes=(-0.3, 0.5)),
    "99.65": Recipe(0.9965, (32, 64, 64), TrainingSettings(epochs=10), strokes=(-0.3, 0.5)),
}
"""By the level that each is for, in percent."""


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
