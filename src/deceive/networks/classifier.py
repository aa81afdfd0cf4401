"""Classifiers: images (N, C, H, W) in [0, 1] in, logits (N, K) out."""

import torch
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.networks.architectures import ARCHITECTURES
from deceive.networks.bodies import NoiseBody

# Mean and standard deviation of MNIST's training pixels.
MNIST_MEAN, MNIST_STD = 0.1307, 0.3081

MOST_OUTPUTS = 100_000  # more are a mistake, and would use up all memory


class Classifier(nn.Module):
    """A normalisation, a body that ends in a feature vector, and a linear head.

    Normalisation lives inside, so that outside there are only images and logits.

        >>> import torch
        >>> from deceive import Classifier
        >>> network = Classifier("fast", n_outputs=11).eval()
        >>> network(torch.rand(5, 1, 28, 28)).shape
        torch.Size([5, 11])
        >>> network.features(torch.rand(5, 1, 28, 28)).shape
        torch.Size([5, 128])

    Args:
        architecture: a name from `architectures.ARCHITECTURES`.
        n_outputs: the number of logits, K, 2 to 100,000; one more than there are classes for a
            network with a rubbish class.
        image_shape: (C, H, W) of the images it reads.
        mean: of all pixels of the training images; MNIST's by default. Architectures with a
            normalisation of their own pass over it.
        std: their standard deviation.

    Attributes:
        architecture, image_shape, n_outputs: as given.
        num_features: the length of `features`.

    Raises:
        InputError: when there is no such architecture, when images of this shape are too small for
            it, or when an argument is out of range.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        architecture: str,
        n_outputs: int = 10,
        image_shape: Shape = (1, 28, 28),
        *,
        mean: float = MNIST_MEAN,
        std: float = MNIST_STD,
    ) -> None:
        super().__init__()
        checks.one_of("architecture", architecture, ARCHITECTURES)
        checks.at_least("n_outputs", n_outputs, 2, below=MOST_OUTPUTS + 1)
        arguments.shape("image_shape", image_shape, least=0)
        arguments.number("mean", mean)
        arguments.number("std", std)
        plan = ARCHITECTURES[architecture]
        if min(image_shape[1:]) < plan.least_side:
            raise InputError(
                f"image_shape: expected images of at least {plan.least_side}×{plan.least_side} "
                f"pixels for a network {architecture!r}, got {image_shape[1]}×{image_shape[2]}; "
                "fast takes smaller ones"
            )
        mean, std = plan.normalisation or (mean, std)
        self.architecture = architecture
        self.image_shape = image_shape
        self.n_outputs = n_outputs
        self.register_buffer("mean", torch.tensor(float(mean)))
        self.register_buffer("std", torch.tensor(float(std)))
        self.body, self.num_features = plan.body(image_shape)
        self.head = nn.Linear(self.num_features, n_outputs)

    @torch.no_grad()
    def temper(self, power: float) -> None:
        """Multiply the logits by `power`, i.e. raise the probabilities to it and renormalise.

        It goes into the head's weights, and changes no prediction.
        """
        for parameter in self.head.parameters():
            parameter.mul_(power)

    @property
    def hears_noise(self) -> bool:
        """Whether the network takes the noise level as a second input."""
        return isinstance(self.body, NoiseBody)

    def features(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The penultimate activations (N, num_features); for the arguments see `forward`.

        Raises `RuntimeError` when the images have another shape than `image_shape`.
        """
        check_shape(images, self.image_shape)
        if isinstance(self.body, NoiseBody):
            noise = images.new_zeros(images.shape[0]) if noise is None else noise
            spread = (self.std.square() + noise.square()).sqrt()[:, None, None, None]
            told: Tensor = self.body((images - self.mean) / spread, noise)
            return told
        features: Tensor = self.body((images - self.mean) / self.std)
        return features

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Logits (N, n_outputs).

        Args:
            images: (N, C, H, W) in [0, 1], or beyond where there is noise in them.
            noise: (N,), standard deviations of the gaussian noise in each image; none by default.
                Networks that don't hear noise ignore it.
        """
        logits: Tensor = self.head(self.features(images, noise))
        return logits


def check_shape(images: Tensor, expected: Shape) -> None:
    """Raise `RuntimeError` unless images (N, C, H, W) have this shape (C, H, W).

    Some others would fit, by halves that round alike.
    """
    shape = tuple(images.shape)
    if shape[1:] != expected:
        raise RuntimeError(f"expected images (N, C, H, W) of {expected}, got {shape}")
