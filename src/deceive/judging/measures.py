"""What share of images a classifier reads as it should."""

from torch import Tensor, nn

from deceive.common import arguments
from deceive.networks.inference import answers_of, logits_of

# A classifier with less skill than this reads no better than guessing.
NEAR_CHANCE = 0.1


def skill(accuracy: float, n_classes: int) -> float:
    """Accuracy relative to guessing: 1 if always right, 0 for guessing.

    (accuracy - chance) / (1 - chance), where chance is 1 / n_classes; below 0 it is worse than
    guessing. Below `NEAR_CHANCE`, the labels or the preprocessing probably don't match.

        >>> from deceive.judging.measures import skill
        >>> skill(0.75, n_classes=2)
        0.5

    Args:
        accuracy: in [0, 1].
        n_classes: at least 2.
    """
    chance = 1 / n_classes
    return (accuracy - chance) / (1 - chance)


@arguments.taking(judge=arguments.module, images=arguments.images, targets=arguments.labels)
def agreement(judge: nn.Module, images: Tensor, targets: Tensor) -> float:
    """Share of images that the judge takes for their target, in [0, 1].

    The judge is a classifier outside the loop that never saw gibberish. On gibberish its agreement
    is near chance, 1 / K.

        >>> import torch
        >>> from deceive import agreement, load_network
        >>> agreement(load_network("judge"), torch.zeros(2, 1, 28, 28), torch.tensor([1, 1])) <= 1
        True

    Args:
        judge: images in, logits (N, K) out.
        images: (N, C, H, W) in [0, 1].
        targets: (N,) of whole numbers.

    Raises:
        InputError: when images and targets don't fit each other, or the judge fails on the images.
    """
    arguments.as_many("targets", targets, len(images), "images")
    agreed: Tensor = answers_of("judge", judge, images).argmax(1) == targets
    return agreed.double().mean().item()


def caught(network: nn.Module, images: Tensor, rubbish_class: int) -> float:
    """Share of images (N, C, H, W) that the network takes for rubbish, in [0, 1].

    >>> import torch
    >>> from torch import nn
    >>> from deceive.judging.measures import caught
    >>> brightest = nn.Flatten()  # its logits are the pixels
    >>> caught(brightest, torch.eye(3).view(3, 1, 1, 3)[:2], rubbish_class=1)
    0.5
    """
    called: Tensor = logits_of(network, images).argmax(1) == rubbish_class
    return called.double().mean().item()


def digit_accuracy(network: nn.Module, images: Tensor, labels: Tensor, n_classes: int) -> float:
    """Share of images (N, C, H, W) read correctly, ignoring outputs after the first `n_classes`.

    >>> import torch
    >>> from torch import nn
    >>> from deceive.judging.measures import digit_accuracy
    >>> brightest = nn.Flatten()  # its logits are the pixels
    >>> digit_accuracy(brightest, torch.tensor([[[[0.1, 0.2, 1.0]]]]), torch.tensor([1]), 2)
    1.0
    """
    right: Tensor = logits_of(network, images)[:, :n_classes].argmax(1) == labels
    return right.double().mean().item()
