"""How sure a trained network is: scaled to how often it is right, or by how rare rubbish is."""

import math

import torch
from torch import Tensor

from deceive.common import arguments
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Network, guard_of
from deceive.networks.inference import answers_of, logits_of


@arguments.taking(
    network=arguments.of("a Classifier", Classifier),
    images=arguments.images,
    labels=arguments.labels,
)
@torch.no_grad()
def calibrate(network: Classifier, images: Tensor, labels: Tensor) -> float:
    """Scale the network's logits so that its confidence matches its accuracy.

    Label smoothing leaves a network too shy, training without it too bold. Dividing the logits by
    a temperature (Guo et al. 2017) changes no prediction; it goes into the head's weights.

        >>> import torch
        >>> from deceive import Classifier
        >>> from deceive.training.calibrating import calibrate
        >>> network = Classifier("fast", 4, (1, 8, 8))
        >>> calibrate(network, torch.rand(6, 1, 8, 8), torch.tensor([0, 1, 2, 3, 0, 1])) > 0
        True

    Args:
        network: changed in place.
        images: (N, C, H, W) float32 in [0, 1], not among its training images.
        labels: (N,) int64.

    Returns:
        The temperature under which the labels are likeliest, between 0.1 and 10.

    Raises:
        InputError: when images, labels and the network's logits don't fit each other.
    """
    arguments.as_many("labels", labels, len(images), "images")
    logits = answers_of("network", network, images).double()
    labels = labels.cpu().long()
    arguments.within_classes("labels", labels, logits.shape[1], "network")
    scale = inverse_temperature(logits, labels)
    network.temper(scale)
    return 1 / scale


def inverse_temperature(logits: Tensor, labels: Tensor) -> float:
    """What to multiply logits by so that the labels are likeliest, between 0.1 and 10.

    Args:
        logits: (N, K) float64.
        labels: (N,) int64.
    """
    right = logits.gather(1, labels[:, None]).squeeze(1)
    # Newton's method in 1 / temperature, in which the cross-entropy is convex; no step more than
    # halves or doubles it. If every image is read correctly there is no minimum but the bound.
    scale = torch.ones((), dtype=torch.float64)
    for _ in range(30):
        p = (scale * logits).softmax(1)
        mean = (p * logits).sum(1)
        slope = (mean - right).mean()
        curvature = (p * (logits - mean[:, None]).square()).sum(1).mean()
        # 0 / 0 where all are read correctly, and surely.
        step = (slope / curvature).nan_to_num(0.0).clamp(-scale, scale / 2)
        scale = (scale - step).clamp(0.1, 10)
    return scale.item()


@torch.no_grad()
def expect_rubbish(
    network: Network, images: Tensor, labels: Tensor, *, share: float, confidence: float
) -> float:
    """Make a network with a rubbish class expect as much rubbish as its digits can bear.

    A network that learnt from as many images of rubbish as of digits believes that half of all
    images are rubbish, and is shy accordingly. Other prior odds add a constant to the rubbish
    class's logit (Saerens et al. 2002). It goes into the head's bias, and doesn't change which of
    the other classes is likeliest.

    Args:
        network: changed in place; its last output is the rubbish class.
        images: (N, C, H, W) float32 in [0, 1], none of them rubbish, none seen in training.
        labels: (N,) int64.
        share: of these images, in (0, 1), the part that should get at least `confidence`.
        confidence: softmax probability of an image's label, in (0, 1).

    Returns:
        The constant; 0 if none is enough, because too many of the images are taken for other
        classes.
    """
    logits = logits_of(network, images).double()
    right = logits.gather(1, labels.cpu()[:, None])
    others = logits[:, :-1].scatter(1, labels.cpu()[:, None], -torch.inf)
    # p ≥ c as long as rubbish · e^s ≤ right · (1 - c) / c - others, all in units of right.
    room = (1 - confidence) / confidence - (others - right).exp().sum(1)
    most = room.clamp_min(0).log() + right[:, 0] - logits[:, -1]
    wanted = most.sort(descending=True).values[math.ceil(share * len(most)) - 1].item()
    added = wanted if math.isfinite(wanted) else 0.0
    guard_of(network).head.bias[-1] += added
    return added
