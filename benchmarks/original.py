"""The case study's own recipe of training, which contests set ours beside."""

import time
from itertools import islice

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from deceive.data.dataset import Split

ORIGINAL_BATCH = 64


class PerItem(Dataset[tuple[Tensor, int]]):
    """MNIST as torchvision hands it out with `ToTensor`: one image at a time, from bytes.

    Each item is made a Pillow image and that a float tensor, as `torchvision.datasets.MNIST` and
    `torchvision.transforms.ToTensor` do. The normalisation that usually follows is left to the
    network, which does it for a batch at once: a little less work than the original's.
    """

    def __init__(self, split: Split) -> None:
        self.data = (split.images * 255).round().to(torch.uint8)[:, 0]
        self.targets = split.labels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.data[index].numpy())
        bytes_ = torch.from_numpy(np.array(image, np.uint8, copy=True))
        tensor = bytes_.view(image.size[1], image.size[0], 1).permute(2, 0, 1).contiguous()
        return tensor.to(torch.get_default_dtype()).div(255), int(self.targets[index])


def original_batches(network: nn.Module, split: Split, count: int, seed: int) -> float:
    """Train in place on this many batches by the case study's recipe; returns the seconds."""
    started = time.perf_counter()
    OriginalTraining(network, split, seed).learn(count)
    return time.perf_counter() - started


class OriginalTraining:
    """The case study's recipe: a `DataLoader`, and AdamW at a constant rate."""

    def __init__(self, network: nn.Module, split: Split, seed: int) -> None:
        torch.manual_seed(seed)
        self.network = network
        self.batches = DataLoader(PerItem(split), batch_size=ORIGINAL_BATCH, shuffle=True)
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
        self.loss_of = nn.CrossEntropyLoss()

    def learn(self, count: int) -> None:
        """The first batches of a new epoch, up to this number."""
        self.network.train()
        for images, labels in islice(self.batches, count):
            self.optimiser.zero_grad()
            self.loss_of(self.network(images), labels).backward()
            self.optimiser.step()
