"""Networks of the rounds as one: asked in noise, from coarse to fine, and then without."""

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.networks.classifier import Classifier, check_shape

if TYPE_CHECKING:
    from deceive.networks.guarded import Network

LEVELS = (1.0, 0.7, 0.5, 0.35, 0.2, 0.1, 0.03)
"""Standard deviations of the noise, as a share of the pixels' range: those that `draw` knows."""

TIMES = 2
"""How often a network is asked at each level, in different noise."""

# Signed copies of the image whose sum is the noise: eight are nearly gaussian.
_SHUFFLED = 8

# V and the 5 in the formula below: what a level counts against a class until all coarser levels
# accept it, and how many spreads below the usual log-odds a level still accepts it. Chosen on
# validation images (docs/laboratory/one.md).
_WORST, _LENIENCE = 6.0, 5.0

# A pixel is a speck if the eight around it are darker than this; it counts for more the darker they
# are. Chosen on validation images (docs/laboratory/one.md).
_BRIGHT = 0.6

# Where the eight pixels around a pixel begin in an image with one more pixel at each side.
_AROUND = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]

# How many of the coarsest levels have no vote, and how many votes a reader has.
_COARSE, _VOTES = 2, 4.0

# D and T in the formula: what a class loses without votes, and how clear a vote has to be. Chosen
# on validation images (docs/laboratory/one.md).
_STRICT, _IN_ROUNDS = (96.0, 6.0), (24.0, 1.0)

# Each level's scale comes from two quantiles of the log-odds of real images.
_USUAL, _FEW = 0.3, 0.02

_LEAST_SPREAD = 1e-4

# Images per batch in `calibrate`, the fewest it takes, and steps of its bisection.
_BATCH, _LEAST_IMAGES, _HALVINGS = 250, 100, 40


class CoarseToFine(nn.Module):
    """Asks one network about an image in noise, from coarse to fine, and then another without.

    The first network is asked in noise: it learned in the rounds to tell digits in any noise from
    rubbish. The second one resists: it learned on images without noise, and is asked last. A third
    may read: it knows nothing of rubbish, and has a say on the class alone. Let z_i be the log-odds
    of a class against rubbish at level i, from most noise to none, in units of what real images
    have; at a last level they are minus the light in specks, pixels with nothing bright around
    them. Then

        log p(class) / p(rubbish) = B - Σ_i [g_i softplus(-z_i) + (1 - g_i) V] - D (1 - c),
        g_i = Π_{j < i} sigmoid(z_j + 5).

    A level counts against the class by softplus(-z_i), and by V until every coarser level accepts
    it. c is the class's share if all but the two coarsest levels vote, and the network that reads
    four times: c is the softmax of v / T, where v sums their log-odds and four times its
    log-probabilities. This reads more digits correctly, and an image halfway between two classes
    gets neither.

    The gradient shapes the whole image first, since noise hides the rest, and details at the end:
    the noise schedule of `draw`, followed by plain gradient ascent. The noise is the image's own
    pixels, shuffled and summed with signs: the same image gets the same answer, and different
    static leads to different digits.

    With x a pixel and m the brightest of the eight around it, the light in specks is the sum of
    x max(0, 0.6 - m). m gives no gradient: along it, the pixels beside a speck would light up. V is
    6, D is 96 and T is 6.

        >>> import torch
        >>> from deceive import Classifier, CoarseToFine
        >>> in_noise = Classifier("draw", 11, (1, 8, 8))
        >>> resisting = Classifier("guard", 11, (1, 8, 8))
        >>> network = CoarseToFine(in_noise, resisting).eval()
        >>> network.calibrate(torch.rand(200, 1, 8, 8), torch.arange(200) % 10)  # real images
        >>> network(torch.rand(5, 1, 8, 8)).shape
        torch.Size([5, 11])

    Call `calibrate` before anything else: until then it is never sure.

    Args:
        in_noise: a network of the rounds that hears noise, with K classes and rubbish.
        resisting: a network with the same outputs, asked without noise.
        reading: a network with the K classes, asked without noise.
        drawing: a network like the first, which answers alone about images that are said to have
            noise in them, so that they can be drawn along its schedule; by default the first.

    Attributes:
        strict: whether specks count and the vote has to be clear. In the rounds it is False: there
            is no level of specks, D is 24 and T is 1.
        usual, spread: buffers (levels + 2,), what log-odds real images have at each level.
        budget: a buffer, B. `calibrate` sets the three.

    Raises:
        InputError: when the networks don't fit each other, or one doesn't hear the noise
            that it should.
    """

    usual: Tensor
    spread: Tensor
    budget: Tensor
    _order: Tensor
    _signs: Tensor
    hears_noise: bool = True
    architecture = "one"

    @arguments.taking(
        in_noise=arguments.of("a Classifier", Classifier),
        resisting=arguments.module,
        reading=arguments.maybe(arguments.of("a Classifier", Classifier)),
        drawing=arguments.maybe(arguments.of("a Classifier", Classifier)),
    )
    def __init__(
        self,
        in_noise: Classifier,
        resisting: "Network",
        reading: Classifier | None = None,
        drawing: Classifier | None = None,
    ) -> None:
        super().__init__()
        count, shape = in_noise.n_outputs, in_noise.image_shape
        parts = {"resisting": (resisting, count), "reading": (reading, count - 1)}
        for name, (each, outputs) in (parts | {"drawing": (drawing, count)}).items():
            if each is None:
                continue
            if not hasattr(each, "n_outputs") or not hasattr(each, "image_shape"):
                raise arguments.refusal(name, "a network of the rounds", each)
            expected, its = (outputs, shape), (each.n_outputs, each.image_shape)
            if its != expected:
                raise InputError(f"{name}: expected outputs and images {expected}, got {its}")
        for name, each in {"in_noise": in_noise, "drawing": drawing}.items():
            if each is not None and not each.hears_noise:
                raise InputError(
                    f"{name}: expected a network that is told the noise, got another kind"
                )
        self.in_noise, self.resisting, self.reading = in_noise, resisting, reading
        self.drawing = drawing or in_noise
        self.image_shape: Shape = shape
        self.n_outputs: int = count
        self.num_features: int = in_noise.num_features
        self.strict = True
        self.register_buffer("usual", torch.zeros(len(LEVELS) + 2))
        self.register_buffer("spread", torch.ones(len(LEVELS) + 2))
        self.register_buffer("budget", torch.tensor(0.0))
        generator = torch.Generator().manual_seed(0)
        asked = (len(LEVELS), TIMES, _SHUFFLED)
        pixels = math.prod(self.image_shape)
        order = torch.rand(*asked, pixels, generator=generator, device="cpu").argsort(-1)
        signs = torch.randint(2, asked, generator=generator, device="cpu") * 2.0 - 1
        self.register_buffer("_order", order, persistent=False)
        self.register_buffer("_signs", signs, persistent=False)

    def features(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The penultimate activations (N, num_features) of the network that is asked in noise."""
        return self.in_noise.features(images, noise)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Logits (N, K + 1), the last for rubbish.

        Args:
            images: (N, C, H, W) in [0, 1], or beyond where there is noise in them.
            noise: (N,), standard deviations of the noise that is in the images already. About an
                image with noise, the answer is that of the network that draws.

        Raises `RuntimeError` when the images have another shape than `image_shape`.
        """
        check_shape(images, self.image_shape)
        if images.shape[0] == 0:
            return images.new_zeros(0, self.n_outputs)
        if noise is None:
            return self._of_all_levels(images)
        drawn: Tensor = self.drawing(images, noise)
        has_values = type(noise) is Tensor and not noise.is_meta  # a tracer's have none
        if has_values and bool(noise.all()):
            return drawn
        return torch.where(noise[:, None] > 0, drawn, self._of_all_levels(images))

    def _of_all_levels(self, images: Tensor) -> Tensor:
        total = self.budget - self._against(self.log_odds(images), self._read(images))
        return torch.cat([total, torch.zeros_like(total[:, :1])], 1)

    def without_drawing(self) -> "CoarseToFine":
        """The same parts without the network that draws; it isn't told of noise."""
        network = CoarseToFine(self.in_noise, self.resisting, self.reading)
        for name in ("usual", "spread", "budget"):
            getattr(network, name).copy_(getattr(self, name))
        network.strict = self.strict
        network.hears_noise = False
        return network.eval()

    def log_odds(self, images: Tensor) -> Tensor:
        """Of each class against rubbish, level by level: (levels + 2, N, K) for N images.

        There is one level less if `strict` is False.
        """
        odds = [*self._in_noise(images), _log_odds(self.resisting(images))]
        if self.strict:
            odds.append(-_specks(images)[:, None].expand_as(odds[-1]))
        return torch.stack(odds)

    def _read(self, images: Tensor) -> Tensor:
        """The votes (N, K) of the network that reads; 0 without one."""
        if self.reading is None:
            return images.new_zeros(images.shape[0], self.n_outputs - 1)
        votes: Tensor = _VOTES * self.reading(images).float().log_softmax(1)
        return votes

    def _against(self, odds: Tensor, read: Tensor) -> Tensor:
        """What counts against each class (N, K), of the log-odds at each level and the votes."""
        against, gate = torch.zeros_like(odds[0]), torch.ones_like(odds[0])
        usual, spread = (each[: len(odds), None, None] for each in (self.usual, self.spread))
        for level in (odds - usual) / spread:
            against = against + gate * F.softplus(-level) + (1 - gate) * _WORST
            gate = gate * torch.sigmoid(level + _LENIENCE)
        disputed, clear = _STRICT if self.strict else _IN_ROUNDS
        shares = ((odds[_COARSE:].sum(0) + read) / clear).softmax(1)
        return against + disputed * (1 - shares)

    @arguments.taking(images=arguments.images, labels=arguments.labels)
    @torch.no_grad()
    def calibrate(
        self, images: Tensor, labels: Tensor, *, keep: float = 0.95, confidence: float = 0.99
    ) -> None:
        """Learn the scale of each level, and B, from real images that it wasn't trained on.

        Afterwards a share `keep` of them gets the confidence.

        Args:
            images: (N, C, H, W) in [0, 1]; some thousands.
            labels: (N,), their classes.
            keep: a share in (0, 1).
            confidence: in (0, 1), of the label, over all outputs.

        Raises:
            InputError: when there are fewer than 100 images, when they or the labels don't fit the
                network or each other, or a share is out of range.
        """
        checks.open_interval("keep", keep, 0, 1)
        checks.open_interval("confidence", confidence, 0, 1)
        if images.shape[1:] != self.image_shape:
            raise InputError(
                f"images: expected (N, C, H, W) of {self.image_shape}, got {tuple(images.shape)}"
            )
        checks.at_least("len(images)", len(images), _LEAST_IMAGES)
        arguments.as_many("labels", labels, len(images), "images")
        arguments.within_classes("labels", labels, self.n_outputs - 1, "the network's")
        device = self.budget.device
        images, labels = images.to(device), labels.to(device)
        parts = torch.split(images, _BATCH)
        odds = torch.cat([self.log_odds(part) for part in parts], 1)
        read = torch.cat([self._read(part) for part in parts])
        real = odds.gather(2, labels.expand(len(odds), -1)[:, :, None])[:, :, 0]
        usual, few = (real.quantile(share, 1) for share in (_USUAL, _FEW))
        self.usual[: len(odds)] = usual
        self.spread[: len(odds)] = ((usual - few) / 2).clamp_min(_LEAST_SPREAD)
        against = self._against(odds, read)
        low, high = 0.0, 2 * float(against.max()) + 100
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            logits = F.pad(middle - against, (0, 1))
            reached = logits.softmax(1).gather(1, labels[:, None]) >= confidence
            low, high = (low, middle) if reached.double().mean() >= keep else (middle, high)
        self.budget.fill_(high)

    def _in_noise(self, images: Tensor) -> list[Tensor]:
        """The log-odds (N, K) at each level, the mean over some noises."""
        found = []
        for number, level in enumerate(LEVELS):
            told = images.new_full((TIMES * images.shape[0],), level)
            noisy = (images + level * self._noise(images, number)).flatten(0, 1)
            said = _log_odds(self.in_noise(noisy, told))
            found.append(said.view(TIMES, -1, said.shape[1]).mean(0))
        return found

    def _noise(self, images: Tensor, number: int) -> Tensor:
        """Noise (times, N, C, H, W) of mean 0 and variance 1 for a level; without a gradient."""
        pixels = images.detach().flatten(1)
        pixels = pixels - pixels.mean(1, keepdim=True)
        shuffled = pixels[:, self._order[number]].movedim(0, 1)  # (times, N, shuffled, pixels)
        noise = (self._signs[number][:, None, :, None] * shuffled).sum(2)
        spread = noise.std(2, keepdim=True).clamp_min(_LEAST_SPREAD)
        return (noise / spread).view(TIMES, *images.shape)


def _specks(images: Tensor) -> Tensor:
    """The light (N,) in pixels with nothing bright around them."""
    height, width = images.shape[2:]
    padded = F.pad(images.detach(), (1, 1, 1, 1))
    around = [padded[:, :, i : i + height, j : j + width] for i, j in _AROUND]
    brightest = torch.stack(around).amax(0)
    return (images * (_BRIGHT - brightest).clamp_min(0)).flatten(1).sum(1)


def _log_odds(logits: Tensor) -> Tensor:
    """Of each class against rubbish, which comes last: (N, K) of logits (N, K + 1)."""
    return logits[:, :-1] - logits[:, -1:]
