"""JEM, the joint energy-based model."""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from benchmarks.rivals.gaussians import Gaussians
from benchmarks.rivals.rival import Objective, Recipe, Rival
from benchmarks.rivals.slopes import Slopes
from benchmarks.rivals.strided import Strided
from deceive.common.levels import Shape
from deceive.data.dataset import Split


class Jem(Rival):
    """A classifier whose logits are energies (Grathwohl et al. 2020).

    A class's logit is the logarithm of p(x, class), and their logsumexp that of p(x), up to a
    constant. Training makes cross-entropy small, and p(x) large on images in a little noise rather
    than on what chains of a replay buffer have come to: `steps` steps of Langevin dynamics up their
    class's logit for each batch. 433,000 parameters for MNIST.

    Against collapse: chains begin in a gaussian of their class's images (JEM++, Yang and Ji 2021),
    activations are smooth and the energies' squares cost something (both its authors' advice), and
    a training that diverges goes back. Its samples are fresh chains of `drawn` steps.
    """

    recipe = Recipe(batch=64, learning_rate=2e-3, betas=(0.0, 0.99), weight_decay=0, diverged=100)

    def __init__(
        self,
        shape: Shape,
        n_classes: int,
        *,
        steps: int = 10,
        rate: float = 1.0,
        noise: float = 0.01,
        blur: float = 0.03,
        restarted: float = 0.05,
        kept: int = 1000,
        cost: float = 0.01,
        drawn: int = 50,
    ) -> None:
        super().__init__(shape, n_classes)
        self.steps, self.rate, self.noise, self.blur = steps, rate, noise, blur
        self.restarted, self.kept, self.cost, self.drawn = restarted, kept, cost, drawn
        self.body = Strided(shape, n_classes, F.silu, told=False)
        self.starts = Gaussians(shape, n_classes)

    def logits(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of images (N, C, H, W) in [−1, 1]."""
        logits: Tensor = self.body(x)
        return logits.float()

    def objective(self, split: Split, generator: Generator) -> Objective:
        """The loss, with a replay buffer of its own: `kept` chains of each class."""
        self.starts.fit(split)
        slopes = Slopes(self.body)
        classes = torch.arange(self.label.num_embeddings, device=generator.device)
        buffer = self.starts.draw(classes.repeat_interleave(self.kept), generator)

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            slopes.follow(self.body)
            n, device = len(images), images.device
            chosen = torch.randint(len(buffer), (n,), generator=generator, device=device)
            own = chosen // self.kept
            anew = torch.rand(n, generator=generator, device=device) < self.restarted
            x = buffer[chosen]
            x[anew] = self.starts.draw(own[anew], generator)
            buffer[chosen] = x = self._walked(x, own, self.steps, slopes, generator)
            return self.loss(images, labels, x, generator)

        return loss

    def loss(self, images: Tensor, labels: Tensor, drawn: Tensor, generator: Generator) -> Tensor:
        """Of images, their classes, and what chains have drawn (N, C, H, W) in [−1, 1]."""
        noise = self._noise(len(images), generator)
        real = 2 * images - 1 + self.blur * noise
        of_real, of_drawn = self.logits(torch.cat([real, drawn])).split(len(images))
        likely, drawn_likely = of_real.logsumexp(1), of_drawn.logsumexp(1)
        size = likely.square().mean() + drawn_likely.square().mean()
        contrast = drawn_likely.mean() - likely.mean()
        return F.cross_entropy(of_real, labels) + contrast + self.cost * size

    def reader(self) -> nn.Module:
        """The classifier that its logits are."""
        return _Reader(self.body)

    def _walked(
        self, x: Tensor, labels: Tensor, steps: int, slopes: Slopes, generator: Generator
    ) -> Tensor:
        """Images after so many steps of Langevin dynamics up the logit of their class."""
        for _ in range(steps):
            slope = slopes.of(lambda body, x: body(x).gather(1, labels[:, None])[:, 0], x)
            noise = self._noise(len(x), generator)
            x = (x + self.rate * slope + self.noise * noise).clamp(-1, 1)
        return x

    def _sample(self, labels: Tensor, generator: Generator) -> Tensor:
        x = self.starts.draw(labels, generator)
        x = self._walked(x, labels, self.drawn, Slopes(self.body), generator)
        return (x + 1) / 2


class _Reader(nn.Module):
    """Logits (N, classes) of images (N, C, H, W) in [0, 1]."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images."""
        logits: Tensor = self.body(2 * images - 1)
        return logits
