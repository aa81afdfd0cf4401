"""Networks of the size of ResNet-50 and of ViT-B/16, with random weights, and pictures they read.

Every class is a pattern of 8 × 8 coloured patches. The networks' last layer sees the patches beside
the features, so that they read the pictures without any training.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from deceive.common.seeds import generator_for

_PATCHES = 8


def pattern(label: int) -> Tensor:
    """The colours of a class, (3, 8, 8): each channel of a patch is light or dark."""
    return torch.rand(3, _PATCHES, _PATCHES, generator=generator_for(0, label)).round()


def write_pictures(folder: Path, classes: int, size: int) -> None:
    """Write `folder/{val,test}/CLASS/0.jpg`, square pictures, one of each class in each split."""
    for number, split in enumerate(("val", "test")):
        for label in range(classes):
            noise = torch.rand(3, size, size, generator=generator_for(number, label, "noise"))
            image = F.interpolate(pattern(label)[None] * 0.4 + 0.3, size)[0] + 0.2 * (noise - 0.5)
            path = folder / split / f"class-{label:04}" / "0.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = (image.clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
            Image.fromarray(np.ascontiguousarray(pixels)).save(path)


class Reader(nn.Module):
    """Features of a network, and the patches of the image, to logits."""

    def __init__(self, features: nn.Module, width: int, classes: int) -> None:
        super().__init__()
        self.features, self.head = features, nn.Linear(width + 3 * _PATCHES**2, classes)
        patterns = torch.stack([pattern(label) for label in range(classes)]).flatten(1)
        with torch.no_grad():
            self.head.weight[:, width:] = 0.4 * (2 * patterns - 1)
            self.head.weight[:, :width] *= 0.1

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, 3, H, W)."""
        patches = F.adaptive_avg_pool2d(images, _PATCHES).flatten(1)
        return self.head(torch.cat([self.features(images), patches], 1))


class Bottleneck(nn.Module):
    """Three convolutions around which the input is added (He et al. 2016)."""

    def __init__(self, given: int, width: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolved(given, width, 1),
            nn.ReLU(),
            *_convolved(width, width, 3, stride),
            nn.ReLU(),
            *_convolved(width, 4 * width, 1),
        )
        self.past = nn.Identity()
        if stride > 1 or given != 4 * width:
            self.past = nn.Sequential(*_convolved(given, 4 * width, 1, stride))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 4 × width, H / stride, W / stride)."""
        return F.relu(self.body(images) + self.past(images))


def _convolved(given: int, width: int, size: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    layer = nn.Conv2d(given, width, size, stride, padding=size // 2, bias=False)
    return layer, nn.BatchNorm2d(width)


def resnet_features(width: int, blocks: tuple[int, ...]) -> nn.Sequential:
    """A ResNet without its last layer: 32 × width features of four stages of these lengths."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 7, 2, padding=3, bias=False)]
    layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
    given = width
    for stage, count in enumerate(blocks):
        for place in range(count):
            layers.append(Bottleneck(given, width * 2**stage, 2 if stage and not place else 1))
            given = 4 * width * 2**stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class ViTFeatures(nn.Module):
    """A vision transformer without its last layer (Dosovitskiy et al. 2021)."""

    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, (size // patch) ** 2 + 1, width))
        layer = nn.TransformerEncoderLayer(
            *(width, heads, 4 * width, 0.0, "gelu"), batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """(N, width)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(tokens), -1, -1), tokens], 1) + self.places
        return self.norm(self.layers(tokens)[:, 0])


def resnet_50() -> nn.Module:
    """25.7 million parameters, 1,000 classes, for images of 224 × 224."""
    torch.manual_seed(0)
    return Reader(resnet_features(64, (3, 4, 6, 3)), 2048, 1000)


def vit_b_16() -> nn.Module:
    """86.8 million parameters, 1,000 classes, for images of 224 × 224."""
    torch.manual_seed(0)
    return Reader(ViTFeatures(224, 16, 768, 12, 12), 768, 1000)


def tiny() -> nn.Module:
    """A few thousand parameters, 4 classes, for images of 32 × 32."""
    torch.manual_seed(0)
    return Reader(resnet_features(4, (1, 1, 1, 1)), 128, 4)
