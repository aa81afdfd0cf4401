"""`certify`: how sure a network can be at most of any image within a distance of a given one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deceive.certifying.boxes import ROUNDING, Box, ball
from deceive.certifying.following import handed_on
from deceive.certifying.outputs import Outputs, outputs_of
from deceive.certifying.rules import named
from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded, moved
from deceive.networks.inference import batch_for
from deceive.networks.shrinking import shrunk

# Operations on the way from a guard's logits to the logits of the whole, each rounded.
_OPERATIONS = 64

# What an enlarging or shrinking of images may be off by in float32: they are averages in [0, 1].
_RESAMPLED = 2.0**-16


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proved about each of N images.

    >>> import torch
    >>> from deceive import Certificate
    >>> proved = Certificate(0.3, 0.99, torch.tensor([0.2, 1.0], dtype=torch.float64))
    >>> proved.certified.tolist(), proved.share
    ([True, False], 0.5)
    """

    epsilon: float
    """How far each pixel may be from the image's."""
    threshold: float
    """The confidence to stay below."""
    confidence: Tensor
    """(N,) float64: no image so near gets a greater confidence in any class."""

    @property
    def certified(self) -> Tensor:
        """Which images are proved to be below the threshold with all that is near, (N,) bool."""
        return self.confidence < self.threshold

    @property
    def share(self) -> float:
        """The share of the images that are certified."""
        return self.certified.double().mean().item()


@arguments.taking(images=arguments.images)
def certify(
    network: nn.Module,
    images: Tensor,
    epsilon: float,
    *,
    threshold: float = 0.99,
    rubbish_class: int | None = None,
) -> Certificate:
    """Prove for images that nothing near them gets a confidence of `threshold` in any class.

    Interval bounds (Gowal et al. 2018) follow a box of all images near the given one through the
    network. They hold for the network's weights in real numbers, and for the network run in
    float32 (docs/explanation/arithmetic.md). For most networks they are far too wide to prove
    anything; a detector (`Guarded`) is trained to make them tight.

        >>> import torch
        >>> from torch import nn
        >>> from deceive import certify
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> with torch.no_grad():  # as sure of class 0 as the image is bright
        ...     _ = network[1].weight.copy_(torch.tensor([[1.0] * 4, [0.0] * 4]))
        ...     _ = network[1].bias.zero_()
        >>> proved = certify(network, torch.zeros(1, 1, 2, 2), 0.25, threshold=0.8)
        >>> round(proved.confidence.item(), 3), proved.certified.tolist()  # σ(4 × 0.25)
        (0.731, [True])

    Args:
        network: a `Classifier`, a `Guarded` network, or layers of known kinds; in evaluation mode,
            whatever it is set to. Its weights are in float32.
        images: (N, C, H, W) in [0, 1].
        epsilon: the greatest change of each pixel, in [0, 1); pixels stay within [0, 1].
        threshold: a softmax probability.
        rubbish_class: the output that means "none of the classes", if there is one; of a `Guarded`
            network it is the last.

    Raises:
        InputError: when the network can't be bounded (it names the layer), or an argument is out of
            range.
    """
    checks.half_open_interval("epsilon", epsilon, 0, 1)
    checks.open_interval("threshold", threshold, 0, 1)
    if not isinstance(network, nn.Module):
        raise InputError(
            "network: expected a torch module, whose layers can be followed, got a black box "
            f"({type(network).__name__}), about which nothing can be proved"
        )
    if type(network) not in (Guarded, Classifier, nn.Sequential):
        network = handed_on(network)
    parts = torch.split(images.detach().cpu(), batch_for(images.shape[1:], 250))
    found = [_most(network, ball(part, epsilon), rubbish_class) for part in parts]
    confidence = torch.cat(found) if found else torch.empty(0, dtype=torch.float64)
    return Certificate(float(epsilon), float(threshold), confidence)


@torch.no_grad()
def log_odds(detector: Classifier, images: Tensor, epsilon: float) -> Box:
    """The least and the greatest log-odds (N,) of a detector for any image near these.

    Args:
        detector: two outputs, the first for real images.
        images: (N, C, H, W) in [0, 1].
        epsilon: the greatest change of each pixel.
    """
    parts = torch.split(images.detach().cpu(), batch_for(images.shape[1:], 250))
    made = [apart(outputs_of(detector, ball(part, epsilon))) for part in parts]
    return Box(torch.cat([each.lower for each in made]), torch.cat([each.upper for each in made]))


def apart(outputs: Outputs) -> Box:
    """The log-odds (N,) of the first output against the second."""
    return outputs.apart(0).mapped(lambda values: values[:, 1])


@torch.no_grad()
def _most(network: nn.Module, box: Box, rubbish_class: int | None) -> Tensor:
    """The greatest confidence (N,) in any class of any image in a box."""
    if isinstance(network, Guarded):
        classes = network.n_outputs
        most = _above_rubbish(network, box)[0].amax(1).sigmoid()
    else:
        outputs = outputs_of(network, box)
        classes = len(outputs.weight)
        chosen = [number for number in range(classes) if number != rubbish_class]
        most = torch.stack([_confidence(outputs, number) for number in chosen]).amax(0)
    # A softmax in float32, of logits that are; and none if anything is out of bounds.
    most = most + (classes + 8) * ROUNDING
    return most.nan_to_num(1.0).clamp(max=1.0)


def _confidence(outputs: Outputs, number: int) -> Tensor:
    return 1 / (-outputs.apart(number).upper).exp().sum(1)


def _above_rubbish(network: Classifier | Guarded, box: Box) -> tuple[Tensor, Tensor]:
    """What a network with a rubbish class, the last, makes of a box.

    Returns:
        By how much each class's logit is above rubbish's at most, (N, K); and the greatest size of
        any logit, (N, 1).
    """
    if isinstance(network, Classifier):
        outputs = outputs_of(network, box)
        rubbish = network.n_outputs - 1
        return -outputs.apart(rubbish).lower[:, :rubbish], outputs.size.amax(1, True)
    small = _shrunk(box, network.guard.image_shape)
    shifts: Sequence[Any] = network.shifts or ((0, 0),)
    with named("the guard"):
        asked = [_above_rubbish(network.guard, _shifted(small, *shift)) for shift in shifts]
    size = torch.stack([each for _, each in asked]).amax(0)
    classes = torch.stack([each for each, _ in asked])
    if network.guard_doubt:  # each may get up to the guard's greatest, or to the sum of all
        most = classes.logsumexp if network.guard_doubt == 1 else classes.amax
        classes = most(2, keepdim=True).expand_as(classes)
    above = classes.mean(0)
    if network.detector is not None:
        with named("the detector"):
            seen = outputs_of(network.detector, _shrunk(box, network.detector.image_shape))
        odds = apart(seen)
        above = torch.minimum(above, odds.upper[:, None])
        size = size + odds.size[:, None] + seen.size.amax(1, True)
    # Every value on the way is at most this large.
    count = network.n_outputs - 1
    size = 2 * size + math.log(count / float(network.doubt)) + math.log(count) + 1
    return above + _OPERATIONS * ROUNDING * size, size


def _shrunk(box: Box, shape: tuple[int, int, int]) -> Box:
    if box.lower.shape[1:] == torch.Size(shape):
        return box
    made = box.mapped(lambda values: shrunk(values, shape)).widened(_RESAMPLED)
    return made.mapped(lambda values: values.clamp(0, 1))


def _shifted(box: Box, down: int, right: int) -> Box:
    return box.mapped(lambda values: moved(values, down, right))
