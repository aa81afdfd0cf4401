"""Ask a network: in evaluation mode, in float32, in batches, and leave it as it was."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from deceive.common import arguments
from deceive.common.errors import InputError
from deceive.networks.answers import failed
from deceive.networks.modules import device_of, float_type, original
from deceive.networks.precision import exactly

BATCH = 500
"""The most images that a network is asked about at once."""

# The most pixels at once, of all channels: of an image, and of one whose gradient is taken, for
# which every layer keeps its output.
_PIXELS, _PIXELS_WITH_GRADIENT = 4_000_000, 1_000_000


def batch_for(shape: Sequence[int], most: int = BATCH, *, gradient: bool = False) -> int:
    """How many images (C, H, W) to ask a network about at once, which limits the memory.

    >>> batch_for((1, 28, 28)), batch_for((3, 224, 224)), batch_for((3, 224, 224), gradient=True)
    (500, 26, 6)

    Args:
        shape: (C, H, W) of an image.
        most: the most images, however small.
        gradient: whether their gradient is taken.
    """
    pixels = _PIXELS_WITH_GRADIENT if gradient else _PIXELS
    return max(1, min(most, pixels // math.prod(shape)))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[nn.Module]:
    """Put `model` into evaluation mode, and each of its modules back as it was on the way out."""
    # Frozen TorchScript modules have no training mode.
    was_training = [module for module in model.modules() if getattr(module, "training", False)]
    model.eval()
    try:
        yield model
    finally:
        for module in was_training:
            module.training = True


def confidence_of(logits: Tensor, targets: Tensor) -> Tensor:
    """The softmax probability (N,) of each target (N,), from logits (N, K).

    >>> import torch
    >>> from deceive.networks.inference import confidence_of
    >>> confidence_of(torch.tensor([[0.0, 0.0], [0.0, -200.0]]), torch.tensor([1, 0])).tolist()
    [0.5, 1.0]
    """
    return logits.softmax(1).gather(1, targets[:, None]).squeeze(1)


def logits_of(model: nn.Module, images: Tensor, batch: int | None = None) -> Tensor:
    """Logits (N, K), float32, on the CPU, for images (N, C, H, W); no gradient.

    They are asked about in batches, by default of as many as `batch_for` allows.

    Input and output are copied: some models work in place, some reuse one output tensor. A model in
    half or double precision gets its images in that type.
    """
    device, own, model = device_of(model), float_type(model), original(model)
    own = images.dtype if own == torch.float32 else own
    batch = batch or batch_for(images.shape[1:])
    with evaluating(model), exactly(device):
        answers = (model(part.to(device, own, copy=True)) for part in torch.split(images, batch))
        return torch.cat([each.to("cpu", torch.float32, copy=True) for each in answers])


def answers_of(name: str, model: nn.Module, images: Tensor) -> Tensor:
    """`logits_of`, with an `InputError` if the model fails or returns no row of scores per image.

    The error names the argument `name`.
    """
    try:
        answers = logits_of(model, images)
    except InputError:
        raise
    except Exception as error:  # a user's model may raise anything
        raise failed(name, images, error) from error
    if answers.ndim != 2 or len(answers) != len(images):
        raise InputError(
            f"{name}: expected a model that gives a row of scores per image, ({len(images)}, K), "
            f"got an output of shape {tuple(answers.shape)}"
        )
    return answers


def probabilities_of(model: nn.Module, images: Tensor, batch: int | None = None) -> Tensor:
    """Softmax at temperature 1 over all outputs: (N, K), float32, on the CPU."""
    return logits_of(model, images, batch).softmax(1)


@arguments.taking(model=arguments.module, images=arguments.images, labels=arguments.labels)
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images whose greatest logit is that of their label, in [0, 1].

        >>> import torch
        >>> from torch import nn
        >>> from deceive import accuracy
        >>> brightest = nn.Flatten()  # its logits are the pixels
        >>> accuracy(brightest, torch.eye(3).view(3, 1, 1, 3), torch.tensor([0, 1, 0]))
        0.6666666666666666

    Args:
        model: images in, logits (N, K) out; left as it was.
        images: (N, C, H, W).
        labels: (N,) of whole numbers.

    Raises:
        InputError: when images and labels don't fit each other, or the model fails on the images.
    """
    arguments.as_many("labels", labels, len(images), "images")
    right: Tensor = answers_of("model", model, images).argmax(1) == labels.cpu()
    return right.double().mean().item()


def has_gradient(model: nn.Module, images: Tensor) -> bool:
    """Whether outputs have a gradient with respect to images (N, C, H, W), even if it is 0."""
    images = images.to(device_of(model), float_type(model), copy=True).requires_grad_(True)
    with evaluating(model), torch.enable_grad():
        output = model(images.clone())
        if not output.requires_grad:
            return False
        try:
            (gradient,) = torch.autograd.grad(output.sum(), images, allow_unused=True)
        except RuntimeError:  # some torch operators have no gradient
            return False
    return gradient is not None
