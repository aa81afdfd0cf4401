"""Discriminator Flow."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from benchmarks.rivals.layers import Time
from benchmarks.rivals.rival import Objective, Recipe, Rival
from benchmarks.rivals.slopes import Slopes
from benchmarks.rivals.strided import Strided
from deceive.common.levels import Shape
from deceive.data.dataset import Split


class DiscriminatorFlow(Rival):
    """Class-conditional Discriminator Flow (Franceschi et al. 2023): a GAN without a generator.

    Particles begin as gaussian noise and follow the gradient of a discriminator that is told the
    time, for `steps` steps. The discriminator is trained on particles along the way, against real
    images (differences of means, WGAN), with a penalty on its gradient between the two, centred at
    0. Each particle is used at `used` random times of its way. 507,000 parameters for MNIST.

    At the optimum a particle at a distance d from the data meets a gradient d / (2 penalty); so
    `rate` is the share of the distance that the first step covers.
    """

    recipe = Recipe(
        batch=16, learning_rate=3e-3, betas=(0.5, 0.99), weight_decay=0, longest=float("inf")
    )

    def __init__(
        self,
        shape: Shape,
        n_classes: int,
        *,
        steps: int = 16,
        rate: float = 0.3,
        penalty: float = 10,
        used: int = 4,
    ) -> None:
        super().__init__(shape, n_classes)
        self.steps, self.used, self.penalty = steps, used, penalty
        self.stride = 2 * penalty * rate
        self.time = Time()
        self.body = Strided(shape, 1, partial(F.leaky_relu, negative_slope=0.1), told=True)

    def score(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        """How real (N,) the images x (N, C, H, W) in [−1, 1] are at times t (N,) in [0, 1]."""
        score: Tensor = self.body(x, self._told(t, labels))
        return score[:, 0].float()

    def objective(self, split: Split, generator: Generator) -> Objective:
        """The loss of fresh particles, moved by the discriminator as it is at that moment."""
        slopes = Slopes(self.body)

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            slopes.follow(self.body)
            way = [self._noise(len(labels), generator)]
            for step in range(self.steps - 1):
                way.append(self._moved(way[-1], step, labels, slopes))
            return self.loss(images, labels, torch.stack(way), generator)

        return loss

    def loss(self, images: Tensor, labels: Tensor, way: Tensor, generator: Generator) -> Tensor:
        """The critic's loss, with its penalty, of images and their classes.

        The particles are on their way (steps, N, C, H, W), one of the class of each image.
        """
        n = len(images) * self.used
        moment = torch.randint(self.steps, (n,), generator=generator, device=way.device)
        t, labels = moment / self.steps, labels.repeat(self.used)
        real = (2 * images - 1).repeat(self.used, 1, 1, 1)
        fake = way[moment, torch.arange(n, device=way.device) % len(images)]
        score = self.score(torch.cat([real, fake]), t.repeat(2), labels.repeat(2))
        of_real, of_fake = score.chunk(2)

        few = slice(0, -(-n // 2))  # enough for the penalty, which costs most
        share = torch.rand(n, 1, 1, 1, generator=generator, device=way.device)
        between = torch.lerp(fake, real, share)[few].requires_grad_()
        worth = self.score(between, t[few], labels[few]).sum()
        (slope,) = torch.autograd.grad(worth, between, create_graph=True)
        steepness = slope.square().sum((1, 2, 3)).mean()
        return of_fake.mean() - of_real.mean() + self.penalty * steepness

    def _moved(self, x: Tensor, step: int, labels: Tensor, slopes: Slopes) -> Tensor:
        """Particles (N, C, H, W) after one more step."""
        t = torch.full((len(x),), step / self.steps, device=x.device)
        with torch.no_grad():
            told = self._told(t, labels).to(slopes.dtype)
        return x + self.stride * slopes.of(lambda body, x: body(x, told)[:, 0], x)

    def _told(self, t: Tensor, labels: Tensor) -> Tensor:
        return F.silu(self.time(t) + self.label(labels))

    def _sample(self, labels: Tensor, generator: Generator) -> Tensor:
        x, slopes = self._noise(len(labels), generator), Slopes(self.body)
        for step in range(self.steps):
            x = self._moved(x, step, labels, slopes)
        return ((x + 1) / 2).clamp(0, 1)
