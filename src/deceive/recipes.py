"""How each architecture is trained when nothing else is said, and what becomes of it."""

from collections.abc import Callable

import torch

from deceive.data import Dataset
from deceive.inference import accuracy
from deceive.models import Card
from deceive.networks import Classifier
from deceive.training import TrainingProgress, TrainingSettings, fit

RECIPES = {
    "fast": TrainingSettings(),
    "judge": TrainingSettings(epochs=4),
    # The case study's own: AdamW at a constant rate, small batches, images as they are.
    "study": TrainingSettings(
        epochs=20,
        batch_size=64,
        learning_rate=1e-3,
        schedule="constant",
        label_smoothing=0,
        rotation=0,
        scaling=0,
        translation=0,
    ),
}


def build(
    architecture: str, data: Dataset, *, seed: int, rubbish_class: bool = False
) -> Classifier:
    """An untrained network for `data`, its weights drawn with `seed`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Classifier(
            architecture,
            data.n_classes + rubbish_class,
            data.image_shape,
            mean=round(data.train.images.mean().item(), 4),
            std=round(data.train.images.std().item(), 4),
        )


def train(
    architecture: str,
    data: Dataset,
    *,
    seed: int = 0,
    settings: TrainingSettings | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
) -> tuple[Classifier, Card]:
    """Train a network on the clean training images; give it back with its card."""
    network = build(architecture, data, seed=seed)
    settings = settings or RECIPES[architecture]
    seconds = fit(
        network, data.train.images, data.train.labels, settings, seed=seed, callback=callback
    )
    return network, card_of(network, data, settings, seed=seed, seconds=seconds)


def card_of(
    network: Classifier, data: Dataset, settings: TrainingSettings, *, seed: int, seconds: float
) -> Card:
    """The card of a network that has just been trained: its accuracies are measured here."""
    knows_rubbish = network.n_outputs > data.n_classes
    return Card(
        architecture=network.architecture,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=data.n_classes if knows_rubbish else None,
        seed=seed,
        settings=settings.model_dump(),
        data_checksum=data.checksum,
        seconds=round(seconds, 2),
        validation_accuracy=accuracy(network, data.validation.images, data.validation.labels),
        test_accuracy=accuracy(network, data.test.images, data.test.labels),
        command=f"deceive train --architecture {network.architecture} --seed {seed}",
        torch=torch.__version__,
    )
