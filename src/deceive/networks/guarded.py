"""Any classifiers behind a guard, which decides whether an image shows one of their classes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.levels import Shape
from deceive.networks.classifier import Classifier
from deceive.networks.coarse_to_fine import CoarseToFine
from deceive.networks.mixture import Mixture
from deceive.networks.shrinking import shrunk

Shifts = tuple[tuple[int, int], ...]
"""Pixels (down, right) to move an image by, for each time that a network is asked about it."""


class Guarded(nn.Module):
    """Readers that settle which class an image shows, and a guard that settles whether it does.

    With g the guard's logits, δ the doubt and q the readers' opinion, the product of their
    probabilities (Hinton 2002),

        p(class k) ∝ exp(g_k) · ((1 - δ) q_k + δ / K),    p(rubbish) ∝ exp(g_rubbish).

    The second factor is at most 1, so p(class) / p(rubbish) is at most the guard's, whatever the
    readers say: they can only make the network less sure.

    Two things can be added. If the guard reads worse than the readers, a doubt δ_g about its
    opinion r leaves the choice of the class to them. The shares of the classes are then

        c_k ∝ ((1 - δ_g) r_k + δ_g / K) · ((1 - δ) q_k + δ / K),

    and p(class k) ∝ c_k exp(Σ_j c_j g_j): the odds against rubbish are those that the guard gives
    to the classes chosen. So an image that the guard takes for one class and the readers for
    another doesn't pass. p(class) / p(rubbish) is at most the guard's greatest. With δ_g = 1 the
    guard has no say in the class, and the odds are those that it gives to all classes together:
    p(class k) ∝ ((1 - δ) q_k + δ / K) Σ_j exp(g_j). A detector with
    log-odds h for a real image, whose bounds can be proved (`deceive.certify`), adds Z exp(-h) to
    p(rubbish), where Z is the sum of exp(g_k) over the classes, so that p(class) / p(rubbish) is at
    most exp(h) as well.

    A mixture that says h_k of each class k limits the guard itself, before all this: the odds
    o = exp(g_k - g_rubbish) become 1 / (1 / o + exp(-h_k)), which is at most exp(h_k).

        >>> import torch
        >>> from torch import nn
        >>> from deceive import Classifier, Guarded
        >>> guard = Classifier("guard", 3, (1, 4, 4))
        >>> reader = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
        >>> network, images = Guarded(guard, [reader]), torch.rand(5, 1, 4, 4)
        >>> odds = [p[:, :2] / p[:, 2:] for p in (n(images).softmax(1) for n in (network, guard))]
        >>> bool((odds[0] <= odds[1]).all())
        True

    Args:
        guard: gives a logit for each of K classes, and a last one for rubbish: a `Classifier`, or a
            guarded network itself, in front of further readers.
        readers: of any kind, at least one unless there is a mixture: images (N, C, H, W) in [0, 1]
            in, logits (or log-probabilities) of the K classes (N, K) out.
        doubt: δ in (0, 1), how often the readers are taken to be wrong, and to have guessed.
        shifts: pixels (down, right) to move each image by; the logits are the mean over all shifts
            (test-time augmentation, Krizhevsky et al. 2012). What deceives a network in one place
            rarely does in the next; a digit is one in all. Empty to ask once, without a shift.
        guard_doubt: δ_g in [0, 1], how often the guard's choice of a class is taken to be a guess.
        detector: a `Classifier` with two outputs, for a real image and for anything else; asked
            once, without a shift.
        image_shape: (C, H, W) of the images, by default the guard's. The guard and the detector
            are shown larger ones at their own size.
        mixture: a `Mixture` of the K classes, shown what the guard is shown.
        architecture: the name that `building.network_of` builds such a network by, if it does.

    Attributes:
        doubt: a buffer, saved with the weights.
        image_shape: (C, H, W) of the images it reads.

    Raises:
        InputError: when an argument is of another kind or out of range; in `forward`, when a
            reader doesn't give K logits for each image.
    """

    doubt: Tensor

    @arguments.taking(
        guard=arguments.module,
        readers=arguments.modules,
        shifts=arguments.shifts,
        detector=arguments.maybe(arguments.of("a Classifier", Classifier)),
        mixture=arguments.maybe(arguments.of("a Mixture", Mixture)),
        image_shape=arguments.maybe(arguments.shape),
        architecture=arguments.of("a name", str),
    )
    def __init__(
        self,
        guard: "Classifier | Guarded",
        readers: Sequence[nn.Module] | nn.ModuleList,
        *,
        doubt: float = 0.01,
        shifts: Shifts = (),
        guard_doubt: float = 0.0,
        detector: Classifier | None = None,
        mixture: Mixture | None = None,
        image_shape: Shape | None = None,
        architecture: str = "",
    ) -> None:
        super().__init__()
        checks.open_interval("doubt", doubt, 0, 1)
        checks.closed_interval("guard_doubt", guard_doubt, 0, 1)
        if not isinstance(guard, Classifier | Guarded):
            raise arguments.refusal("guard", "a Classifier or a Guarded network", guard)
        checks.at_least("guard.n_outputs", guard.n_outputs, 3)
        if detector is not None and detector.n_outputs != 2:
            raise InputError(
                f"detector: expected a Classifier with 2 outputs, got {detector.n_outputs}"
            )
        if mixture is not None and mixture.classes != guard.n_outputs - 1:
            raise InputError(
                f"mixture: expected one of {guard.n_outputs - 1} classes, got {mixture.classes}"
            )
        self.guard, self.detector, self.mixture = guard, detector, mixture
        self.readers = nn.ModuleList(readers)
        if not self.readers and mixture is None:
            raise InputError("readers: expected at least one, got none")
        self.register_buffer("doubt", torch.tensor(float(doubt)))
        self.shifts, self.guard_doubt, self.architecture = shifts, guard_doubt, architecture
        self.image_shape: Shape = image_shape or guard.image_shape

    @property
    def n_outputs(self) -> int:
        """The number of logits, K + 1."""
        return self.guard.n_outputs

    @property
    def num_features(self) -> int:
        """The length of `features`."""
        return self.guard.num_features

    @property
    def hears_noise(self) -> bool:
        """Whether the guard takes the noise level as a second input."""
        return self.guard.hears_noise

    def features(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """The guard's penultimate activations (N, num_features)."""
        return self.guard.features(shrunk(images, self.guard.image_shape), noise)

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """Logits (N, K + 1), the last for rubbish.

        Args:
            images: (N, C, H, W) in [0, 1], or beyond where there is noise in them.
            noise: (N,), standard deviations of the gaussian noise in each image, for the guard.
        """
        classes, rubbish, whole = self._asked_everywhere(images, noise)
        if self.detector is not None:
            said = self.detector(shrunk(images, self.detector.image_shape))
            doubted = whole - (said[:, :1] - said[:, 1:])
            rubbish = torch.logaddexp(rubbish, doubted)
        return torch.cat([classes, rubbish], 1)

    def _asked_everywhere(
        self, images: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The logits (N, K) of the classes and (N, 1) of rubbish, and log Z (N, 1)."""
        # Without readers of larger images it takes those of its own shape.
        small = shrunk(images, self.guard.image_shape) if self.readers else images
        if not self.shifts:
            return self._asked(images, small, noise)
        count, scale = len(self.shifts), images.shape[2] / small.shape[2]
        placed = torch.cat([moved(small, *shift) for shift in self.shifts])
        if small is images:
            shown = placed
        else:
            steps = [[round(scale * pixels) for pixels in shift] for shift in self.shifts]
            shown = torch.cat([moved(images, down, right) for down, right in steps])
        noise = None if noise is None else noise.repeat(count)
        asked = self._asked(shown, placed, noise)
        classes, rubbish, whole = (each.view(count, -1, each.shape[1]).mean(0) for each in asked)
        return classes, rubbish, whole

    def _asked(
        self, images: Tensor, small: Tensor, noise: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        logits, count = self.guard(small, noise), self.n_outputs - 1
        said = [reader(images).float() for reader in self.readers]
        for each in said:  # no `len`, which would fix the batch size of a traced network
            if each.shape != (images.shape[0], count):
                raise InputError(
                    f"readers: expected logits ({len(images)}, {count}), got {tuple(each.shape)}"
                )
        opinion, rubbish = logits[:, :-1], logits[:, -1:]
        if self.mixture is not None:
            odds = -torch.logaddexp(rubbish - opinion, -self.mixture(small))
            opinion = rubbish + odds
        if not said:
            return opinion, rubbish, opinion.logsumexp(1, keepdim=True)
        classes = opinion_of_both(opinion, torch.stack(said).sum(0), self.doubt, self.guard_doubt)
        return classes, rubbish, opinion.logsumexp(1, keepdim=True)


def opinion_of_both(
    guard: Tensor, readers: Tensor, doubt: Tensor | float, guard_doubt: float
) -> Tensor:
    """The logits (N, K) of the classes, of a guard's and of readers' logits (N, K)."""
    count = guard.shape[1]
    doubts = ((1 - doubt) * readers.softmax(1) + doubt / count).log()
    if not guard_doubt:
        return guard + doubts
    if guard_doubt == 1:
        return guard.logsumexp(1, keepdim=True) + doubts
    r = (1 - guard_doubt) * guard.softmax(1) + guard_doubt / count
    shares = (r.log() + doubts).log_softmax(1)
    return shares + (shares.exp() * guard).sum(1, keepdim=True)


Network = Classifier | Guarded | CoarseToFine
"""A network that a card can describe."""


def guard_of(network: Network) -> Classifier:
    """The innermost guard of a guarded network; a classifier itself."""
    if isinstance(network, Classifier):
        return network
    return guard_of(network.guard if isinstance(network, Guarded) else network.resisting)


@torch.no_grad()
def expecting(network: Network, added: float) -> None:
    """Let a network expect more rubbish, or less, in place: all its odds are divided by exp(added).

    Args:
        network: with a last output for rubbish.
        added: to the rubbish logit.
    """
    if isinstance(network, Guarded):
        if network.mixture is not None:
            network.mixture.offset -= added
        expecting(network.guard, added)
    elif isinstance(network, CoarseToFine):
        network.budget -= added
    else:
        network.head.bias[-1] += added


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Images moved by whole pixels: what leaves them is lost, and black comes in."""
    return F.pad(images, (right, -right, down, -down))
