"""A guard for the images of quarters, and a classifier of them."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from deceive.networks.classifier import Classifier
from deceive.storage.models import save_network
from deceive.training.fit import fit
from deceive.training.settings import TrainingSettings
from worlds.quarters import SHAPE, Quarters, quarters
from worlds.records import CARD

READER = """
import torch
from torch import nn
from worlds.guards import Surer

def make():
    return Surer(20.0)
"""
"""The code of a factory of a classifier."""


class Surer(nn.Module):
    """Reads quarters, as surely as it is told."""

    def __init__(self, sure: float) -> None:
        super().__init__()
        self.reader, self.sure = Quarters(), nn.Parameter(torch.tensor(sure))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.sure * self.reader(images)
        return logits


@cache
def _trained() -> Classifier:
    """It learns that quarters are quarters, and noise of any brightness is rubbish."""
    generator = torch.Generator().manual_seed(5)
    real = quarters(900, 0)
    noise = torch.rand(900, *SHAPE, generator=generator)
    noise = noise * torch.rand(900, 1, 1, 1, generator=generator)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guard = Classifier("guard", 5, SHAPE)
    fit(
        guard,
        torch.cat([real.images, noise]),
        torch.cat([real.labels, torch.full((900,), 4)]),
        TrainingSettings(epochs=6, batch_size=50, translation=0, elasticity=0),
    )
    return guard.eval()


def write_guard(folder: Path, checksum: str = "quarters") -> Path:
    """A guard in a file of this folder, for data with this checksum."""
    path = folder / "quarters-guard.safetensors"
    card = CARD.model_copy(
        update={
            "architecture": "guard",
            "n_outputs": 5,
            "image_shape": SHAPE,
            "rubbish_class": 4,
            "data_checksum": checksum,
        }
    )
    save_network(_trained(), path, card)
    return path
