"""A small ResNet for pictures in colour, as anyone might bring one to be guarded.

    python -m benchmarks.colour DIR --out resnet.safetensors

trains it on DIR's training images (CIFAR-10 as class folders, say): half an hour of one core's
time. `deceive guard` loads it from a file of Python that calls `resnet`.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR

from deceive.common.levels import Shape, from_levels, to_levels
from deceive.data.dataset import Labelled
from deceive.data.opening import open_data
from deceive.networks.precision import working_dtype

# Channels of the blocks, pixels that images are moved by, the side of a whitened patch, and images
# that it is learnt from.
_WIDTHS, _MOVED, _PATCH, _WHITENED = (64, 256, 256), 4, 2, 5000


class Recipe(NamedTuple):
    """How it is trained."""

    epochs: int = 22
    batch: int = 500
    rate: float = 0.7
    momentum: float = 0.85
    decay: float = 1.3e-3
    smoothing: float = 0.2
    biases: float = 64
    """How many times as fast the biases of the normalisations learn."""


RECIPE = Recipe()


class _Norm(nn.BatchNorm2d):
    """Batch normalisation with a bias and no scale, whose running values follow quickly."""

    def __init__(self, width: int) -> None:
        super().__init__(width, momentum=0.4)
        self.weight.requires_grad_(False)


class _Block(nn.Module):
    """A convolution and pooling, then a residual one (He et al. 2016)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        nn.init.dirac_(self.first.weight.data[:channels])  # these begin as they come
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList([_Norm(width), _Norm(width)])

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) → (N, width, H / 2, W / 2)."""
        x = F.gelu(self.norms[0](F.max_pool2d(self.first(x), 2)))
        return x + F.gelu(self.norms[1](self.second(x)))


class ResNet(nn.Module):
    """Three residual blocks on whitened patches (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds").

    Images (N, 3, H, W) in [0, 1] in, logits (N, classes) out.
    """

    image_shape: Shape = (3, 32, 32)
    """What it was made for."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.n_outputs, self.num_features = classes, _WIDTHS[-1]
        patch = 3 * _PATCH**2
        self.whitening = nn.Conv2d(3, 2 * patch, _PATCH)
        self.whitening.weight.requires_grad_(False)
        widths = (2 * patch, *_WIDTHS)
        self.blocks = nn.Sequential(
            *(_Block(channels, width) for channels, width in pairwise(widths))
        )
        self.head = nn.Linear(_WIDTHS[-1], classes, bias=False)

    @torch.no_grad()
    def whiten(self, images: Tensor) -> None:
        """Let the first layer give uncorrelated values of patches, and their negatives."""
        patches = F.unfold(images, _PATCH).transpose(1, 2).flatten(0, 1)
        values, directions = torch.linalg.eigh(torch.cov(patches.T))
        filters = (directions / (values + 1e-4).sqrt()).T.unflatten(1, (3, _PATCH, _PATCH))
        self.whitening.weight.copy_(torch.cat([filters, -filters]))
        assert self.whitening.bias is not None
        self.whitening.bias.copy_(-self.whitening.weight.sum((2, 3)) @ images.mean((0, 2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, H, W) in [0, 1].

        Except in training they are the mean of those of an image and of its mirror image.
        """
        features = self._features(images) if self.training else self.features(images)
        logits: Tensor = self.head(features) / 9
        return logits

    def features(self, images: Tensor) -> Tensor:
        """Features (N, 256), the mean of those of an image and of its mirror image."""
        return (self._features(images) + self._features(images.flip(3))) / 2

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = self.blocks(F.gelu(self.whitening(images))).amax((2, 3))
        return features


def resnet(path: str) -> ResNet:
    """A trained one, with the weights in a file."""
    weights = load_file(path)
    network = ResNet(len(weights["head.weight"]))
    network.load_state_dict(weights)
    return network.eval()


def trained(split: Labelled, classes: int, epochs: int, seed: int) -> ResNet:
    """A network that has seen every image as many times, mirrored and moved by a few pixels."""
    torch.manual_seed(seed)
    generator = Generator().manual_seed(seed)
    levels = to_levels(split.read(slice(None)))
    network = ResNet(classes)
    network.whiten(from_levels(levels[:_WHITENED]))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    a_pass = len(levels) // RECIPE.batch
    optimiser = _optimiser(network)
    rates = [group["lr"] for group in optimiser.param_groups]
    schedule = OneCycleLR(
        optimiser,
        rates,
        total_steps=epochs * a_pass + 1,
        pct_start=0.2,
        anneal_strategy="linear",
        cycle_momentum=False,
        div_factor=5,
        final_div_factor=1e3,
    )
    dtype, started = working_dtype(torch.device("cpu")), time.perf_counter()
    mirrored = torch.rand(len(levels), generator=generator) < 0.5
    for epoch in range(epochs):
        mirrored = ~mirrored  # every image is seen from both sides as often
        for chosen in torch.randperm(len(levels), generator=generator).split(RECIPE.batch)[:a_pass]:
            images = _moved(from_levels(levels[chosen]), mirrored[chosen], generator)
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype, dtype != torch.float32):
                logits = network(images)
            labels = split.labels[chosen]
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=RECIPE.smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        taken = time.perf_counter() - started
        print(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}, {taken:.0f} s", flush=True)
    return network.eval()


def _optimiser(network: ResNet) -> SGD:
    """Nesterov's momentum, with quick biases."""
    learning = [each for each in network.parameters() if each.requires_grad]
    groups = [
        {"params": [each for each in learning if each.ndim > 1]},
        {
            "params": [each for each in learning if each.ndim == 1],
            "lr": RECIPE.rate * RECIPE.biases,
            "weight_decay": RECIPE.decay / RECIPE.biases,
        },
    ]
    return SGD(
        groups, RECIPE.rate, momentum=RECIPE.momentum, nesterov=True, weight_decay=RECIPE.decay
    )


def _moved(images: Tensor, mirrored: Tensor, generator: Generator) -> Tensor:
    """Images (N, C, H, W), these (N,) mirrored, all of them moved by up to a few pixels."""
    n, _, rows, columns = images.shape
    padded = F.pad(images, (_MOVED,) * 4, mode="reflect")
    padded = torch.where(mirrored[:, None, None, None], padded.flip(3), padded)
    padded = padded.permute(0, 2, 3, 1)
    down, right = torch.randint(2 * _MOVED + 1, (2, n), generator=generator)
    y = (down[:, None] + torch.arange(rows))[:, :, None]
    x = (right[:, None] + torch.arange(columns))[:, None, :]
    return padded[torch.arange(n)[:, None, None], y, x].permute(0, 3, 1, 2)


@torch.no_grad()
def accuracy(network: nn.Module, split: Labelled) -> float:
    """The share of images that it reads correctly."""
    right = 0
    for first in range(0, len(split), 500):
        images = split.read(slice(first, first + 500))
        right += int((network(images).argmax(1) == split.labels[first : first + 500]).sum())
    return right / len(split)


def main() -> None:
    """Train one, and say how well it reads."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("resnet.safetensors"))
    parser.add_argument("--epochs", type=int, default=RECIPE.epochs)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    data = open_data(asked.data)
    network = trained(data.train, data.n_classes, asked.epochs, asked.seed)
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, asked.out)
    print(f"validation {accuracy(network, data.validation):.2%}, ", end="")
    print(f"test {accuracy(network, data.test):.2%}")


if __name__ == "__main__":
    main()
