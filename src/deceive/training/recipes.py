"""How each of our networks is trained."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from deceive.common import checks, processes
from deceive.common.flags import command_line, flags_of
from deceive.data.again import data_flags
from deceive.data.dataset import Dataset
from deceive.networks.building import network_of
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Network
from deceive.networks.inference import accuracy
from deceive.storage.card import Card
from deceive.training.calibrating import calibrate
from deceive.training.fit import TrainingProgress, fit
from deceive.training.rubbish import RubbishSet
from deceive.training.settings import TrainingSettings

# Images as they are.
_UNMOVED: dict[str, Any] = {"rotation": 0, "scaling": 0, "translation": 0, "elasticity": 0}

# A recipe trains the architecture of its name, or the one in `_TRAINS`.
RECIPES = {
    "fast": TrainingSettings(),
    "judge": TrainingSettings(epochs=15),
    # The case study's own: AdamW at a constant rate, small batches.
    "study": TrainingSettings(
        epochs=20,
        batch_size=64,
        learning_rate=1e-3,
        schedule="constant",
        label_smoothing=0,
        **_UNMOVED,
    ),
    # On images that an adversary has moved, which are augmentation enough (Madry et al. 2018).
    "adversarial": TrainingSettings(
        epochs=6, label_smoothing=0, **_UNMOVED, adversarial_radius=0.3
    ),
    # Smaller than `fast`; one that sees no faint greys; and the same on images that an adversary
    # has moved so little that they still show the same digits.
    "reader": TrainingSettings(),
    "sharp": TrainingSettings(),
    "robust": TrainingSettings(adversarial_norm="image", adversarial_radius=1, adversarial_steps=2),
}
_TRAINS = {"adversarial": "fast", "robust": "sharp"}

Built = TypeVar("Built", bound=nn.Module)


def build(recipe: str, data: Dataset, *, seed: int, rubbish_class: bool = False) -> Classifier:
    """An untrained network of a recipe's architecture; for the arguments see `build_network`."""
    return _built(Classifier, _TRAINS.get(recipe, recipe), data, seed, rubbish_class)


def build_network(name: str, data: Dataset, *, seed: int, rubbish_class: bool = False) -> Network:
    """An untrained network for `data`; on CUDA if there is some.

    Args:
        name: from `building.NETWORKS`.
        data: says how many classes there are, the images' shape and their normalisation.
        seed: for the weights.
        rubbish_class: whether there is an output more than there are classes.
    """
    return _built(network_of, name, data, seed, rubbish_class)


def _built(
    made_of: Callable[..., Built], name: str, data: Dataset, seed: int, rubbish_class: bool
) -> Built:
    with processes.seeded(seed, torch.device("cpu")):
        network = made_of(
            name,
            data.n_classes + rubbish_class,
            data.image_shape,
            mean=round(data.train.images.mean().item(), 4),
            std=round(data.train.images.std().item(), 4),
        )
    return network.to(processes.here().device)


def train(
    recipe: str,
    data: Dataset,
    *,
    seed: int = 0,
    settings: TrainingSettings | None = None,
    rubbish: RubbishSet | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
) -> tuple[Classifier, Card]:
    """Train a network on the training images, calibrate it, and return it with its card.

    Several processes (`processes.join`) train it together, and all get it.

    Args:
        recipe: a name from `RECIPES`: which architecture is trained, and how.
        data: the network learns from the training images. If it is trained with label smoothing, it
            is calibrated on the validation images. The card has its accuracy on those and on the
            test images.
        seed: for the weights, the order, the augmentation and dropout.
        settings: how, instead of the recipe's.
        rubbish: images of one more class, the rubbish class.
        callback: called after every step with a `TrainingProgress`.

    Raises:
        InputError: when there is no such recipe, and as `fit` does.
    """
    checks.one_of("recipe", recipe, RECIPES)
    checks.seed("seed", seed, checks.SEEDS)
    network = build(recipe, data, seed=seed, rubbish_class=rubbish is not None)
    settings = settings or RECIPES[recipe]
    images, labels, still = data.train.images, data.train.labels, None
    if rubbish is not None:
        images, labels, still = rubbish.beside(data.train, data.n_classes)
    seconds = fit(network, images, labels, settings, seed=seed, still=still, callback=callback)
    held_out = data.validation
    temperature = 1.0
    if settings.label_smoothing:
        temperature = calibrate(network, held_out.images, held_out.labels)
    changed = flags_of(settings, RECIPES[recipe])
    return network, Card(
        architecture=network.architecture,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=None if rubbish is None else data.n_classes,
        seed=seed,
        settings=settings.model_dump(),
        data_checksum=data.checksum,
        seconds=round(seconds, 2),
        temperature=temperature,
        validation_accuracy=accuracy(network, held_out.images, held_out.labels),
        test_accuracy=accuracy(network, data.test.images, data.test.labels),
        command=command_line(
            "train", "--recipe", recipe, "--seed", str(seed), *data_flags(data), *changed
        ),
        torch=torch.__version__,
    )
