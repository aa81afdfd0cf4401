"""The differences between the kinds of continual rounds."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from deceive.data.dataset import Dataset
from deceive.fooling.objectives import log_odds
from deceive.networks.classifier import Classifier
from deceive.networks.frozen import FrozenCopy
from deceive.networks.guarded import Network
from deceive.networks.precision import working_dtype
from deceive.teaching.candidates import Candidates
from deceive.teaching.settings import ContinualSettings
from deceive.training.recipes import build_network

# The gradient is penalised in one round of so many.
_PENALISED = 4


class Lesson(NamedTuple):
    """What the network is shown in a round: N digits, N candidates, then M other images."""

    images: Tensor
    """(2N + M, C, H, W) in [0, 1], without their noise."""
    labels: Tensor
    """(2N + M,) int64; rubbish is one more than the greatest class."""
    sigma: Tensor
    """(2N + M,), standard deviation of the noise that is added to each image."""


class RoundsKind(Protocol):
    """One kind of continual rounds: its network and candidates, and what it does with them."""

    network: Network
    """The network that is deceived and taught; `guard_of(network)` is the part that learns."""
    candidates: Candidates
    """This process's share of the rubbish set."""

    def begin(self) -> None:
        """Prepare the first round."""

    def choose(self) -> Tensor:
        """Indices (N,) of a round's candidates; some of them restart."""

    def climb(self, frozen: FrozenCopy, chosen: Tensor, number: int) -> None:
        """Let the chosen candidates climb in round `number`, against a copy of the network."""

    def lesson(self, chosen: Tensor) -> Lesson:
        """The chosen candidates as they are now, with as many digits."""

    def loss(self, logits: Tensor, labels: Tensor, chosen: Tensor) -> Tensor:
        """The loss on a lesson, a scalar, from the logits (2N + M, K)."""

    def penalise(self, images: Tensor, labels: Tensor, sigma: Tensor, number: int) -> None:
        """Add the gradient of what keeps the network's slope right, in round `number`.

        Args:
            images: (N, C, H, W), the lesson's digits in their noise.
            labels: (N,).
            sigma: (N,), standard deviations of the noise.
            number: of the round.
        """

    def alarm(self, is_caught: float) -> str | None:
        """Why nothing is left to learn, given the share of rubbish caught; None if something is."""

    def finished(self, averaged: Classifier) -> Network:
        """The network to use, in half precision, made from the average of the part that learns."""

    def shared(self) -> dict[str, Tensor]:
        """The tensors, beyond the network's, that all processes have alike."""

    def own(self) -> dict[str, Tensor]:
        """The tensors that are split among processes, along the first dimension."""


def untaught(settings: ContinualSettings, data: Dataset) -> Network:
    """The network before the first round."""
    network = build_network(settings.network, data, seed=settings.seed, rubbish_class=True)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.eval()


def logits_in(network: nn.Module, images: Tensor, *sigma: Tensor) -> Tensor:
    """Logits (N, K) in float32, computed in the fastest type, of images with noise in them.

    Args:
        network: classifies them.
        images: (N, C, H, W), noise included.
        sigma: (N,), its standard deviations, if the network takes them.
    """
    dtype = working_dtype(images.device)
    with torch.autocast(images.device.type, dtype, dtype != torch.float32):
        logits: Tensor = network(images, *sigma)
    return logits.float()


def steepness(gradient: Tensor, sigma: Tensor) -> Tensor:
    """How steep the objective is, E[(σ² + 0.01) |∇ objective|²], a scalar; for a penalty.

    The factor σ² turns the slope, which has to be steeper where there is less noise, into the size
    of the step that would be taken there (R1, Mescheder et al. 2018).

    Args:
        gradient: (N, C, H, W).
        sigma: (N,), standard deviations of the noise.
    """
    return (gradient.square().sum((1, 2, 3)) * (sigma.square() + 0.01)).mean()


def smooth(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    sigma: Tensor,
    settings: ContinualSettings,
    number: int,
) -> None:
    """Add the gradient of the penalty on steepness at digits in noise.

    In every fourth round and four times over: lazy regularisation (Karras et al. 2020).
    """
    if settings.smoothness and number % _PENALISED == 0:
        images = images.detach().requires_grad_()
        score = log_odds(logits_in(network, images, sigma), labels)
        (gradient,) = torch.autograd.grad(score.sum(), images, create_graph=True)
        penalty = settings.smoothness / 2 * steepness(gradient, sigma)
        (_PENALISED * penalty).backward()  # type: ignore[no-untyped-call]
