"""Pure functions from predictions and images to numbers."""

from torch import Tensor, nn

from deceive.inference import logits_of


def agreement(judge: nn.Module, images: Tensor, targets: Tensor) -> float:
    """Share of images (N, C, H, W) that the judge takes for their target (N,), in [0, 1].

    The judge is a classifier outside the loop, that never saw gibberish. For gibberish its
    agreement is near chance, 1 / K.
    """
    agreed: Tensor = logits_of(judge, images).argmax(1).cpu() == targets
    return agreed.double().mean().item()


def caught(network: nn.Module, images: Tensor, rubbish_class: int) -> float:
    """Share of images (N, C, H, W) that the network takes for rubbish, in [0, 1]."""
    called: Tensor = logits_of(network, images).argmax(1) == rubbish_class
    return called.double().mean().item()


def digit_accuracy(network: nn.Module, images: Tensor, labels: Tensor, n_classes: int) -> float:
    """Accuracy over the clean classes alone: the rubbish output is left out."""
    right: Tensor = logits_of(network, images)[:, :n_classes].argmax(1).cpu() == labels
    return right.double().mean().item()
