"""Pure functions from predictions and images to numbers."""

import math

import torch
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.common.plotting import import_matplotlib
from deceive.networks.guarded import Network
from deceive.networks.inference import BATCH, answers_of, evaluating, logits_of
from deceive.networks.modules import device_of
from deceive.networks.precision import exactly

# Rows and columns of the tables of distances that are in memory at once: 1,000 × 10,000 float64
# are 80 MB.
_ROWS, _COLUMNS = 1000, 5000

# A classifier with less skill than this reads no better than guessing.
NEAR_CHANCE = 0.1


def skill(accuracy: float, n_classes: int) -> float:
    """Accuracy relative to guessing: 1 if always right, 0 for guessing.

    (accuracy - chance) / (1 - chance), where chance is 1 / n_classes; below 0 it is worse than
    guessing. Below `NEAR_CHANCE`, the labels or the preprocessing probably don't match.

    Args:
        accuracy: in [0, 1].
        n_classes: at least 2.
    """
    chance = 1 / n_classes
    return (accuracy - chance) / (1 - chance)


@arguments.taking(judge=arguments.module, images=arguments.images, targets=arguments.labels)
def agreement(judge: nn.Module, images: Tensor, targets: Tensor) -> float:
    """Share of images (N, C, H, W) that the judge takes for their target (N,), in [0, 1].

    The judge is a classifier outside the loop, that never saw gibberish. For gibberish its
    agreement is near chance, 1 / K.
    """
    arguments.as_many("targets", targets, len(images), "images")
    agreed: Tensor = answers_of("judge", judge, images).argmax(1) == targets
    return agreed.double().mean().item()


def caught(network: nn.Module, images: Tensor, rubbish_class: int) -> float:
    """Share of images (N, C, H, W) that the network takes for rubbish, in [0, 1]."""
    called: Tensor = logits_of(network, images).argmax(1) == rubbish_class
    return called.double().mean().item()


def digit_accuracy(network: nn.Module, images: Tensor, labels: Tensor, n_classes: int) -> float:
    """Accuracy over the clean classes alone: the rubbish output is left out."""
    right: Tensor = logits_of(network, images)[:, :n_classes].argmax(1) == labels
    return right.double().mean().item()


def features_of(judge: Network, images: Tensor, batch: int = BATCH) -> Tensor:
    """The judge's penultimate activations (N, F), float32, on its device, for images (N, C, H, W).

    In evaluation mode, without gradient; the judge is left as it was. Raises `InputError` when the
    images have not the shape that the judge reads.
    """
    if images.shape[1:] != judge.image_shape:
        raise InputError(
            f"images: expected a shape of {('N', *judge.image_shape)} as the judge's, "
            f"got {tuple(images.shape)}"
        )
    device = device_of(judge)
    with evaluating(judge), exactly(device):
        parts = torch.split(images, batch)
        return torch.cat([judge.features(part.to(device)).float() for part in parts])


def frechet_distance(judge: Network, images: Tensor, reference: Tensor) -> float:
    """Fréchet distance (FID) of images (N, C, H, W) to the reference (M, C, H, W), at least 0.

    `frechet_between` of the judge's features of both; nothing is resized or rounded. It depends on
    the judge and on how many images there are: figures with others are not comparable.
    """
    return frechet_between(features_of(judge, images), features_of(judge, reference))


def frechet_between(features: Tensor, reference: Tensor) -> float:
    """Fréchet distance of the two gaussians that have the features' means and covariances.

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½) (Heusel et al. 2017), reckoned in float64.

    Args:
        features: (N, F), N ≥ 2. Below some thousands the distance comes out too great.
        reference: (M, F), M ≥ 2; exchanging the two changes nothing.

    Raises:
        InputError: when there are too few, when they don't fit each other, or are not finite.
    """
    import_matplotlib()  # torchmetrics imports it; nothing else here needs it
    from torchmetrics.image.fid import FrechetInceptionDistance

    _check_features("reference", reference, reference.shape[-1], least=2)
    _check_features("features", features, reference.shape[-1], least=2)
    network = nn.Identity()  # the features are there already, and in float64 they stay so
    network.num_features = features.shape[1]  # type: ignore[assignment]
    # Among several processes it would wait for the features of the others.
    distance = FrechetInceptionDistance(network, normalize=True, sync_on_compute=False)
    distance.to(features.device)
    distance.update(reference.double(), real=True)
    distance.update(features.double(), real=False)
    return max(0.0, distance.compute().item())  # rounding can take it below


def density_and_coverage(real: Tensor, generated: Tensor, k: int = 5) -> tuple[float, float]:
    """How far generated images lie among real ones, and how far they reach all of them.

    Each real image has a ball around it that reaches to the k-th nearest other real image, and
    what is nearer than that lies in it (Naeem et al. 2020). Density is the number of balls that a
    generated image lies in, averaged and divided by k; coverage is the share of balls in which
    there is a generated image. Reckoned in float64.

    Args:
        real: features (N, F), N > k.
        generated: features (M, F), M ≥ 1.
        k: the paper's choice is 5.

    Returns:
        Density, at least 0 and on average 1 where both are of one distribution: above it the
        generated images crowd where the real ones are dense. Coverage in [0, 1], for one
        distribution and N = M on average nearly 1 - 2^-k: 0.97.

    Raises:
        InputError: when there are too few, when they don't fit each other, or are not finite.
    """
    checks.at_least("k", k, 1)
    _check_features("real", real, real.shape[-1], least=k + 1)
    _check_features("generated", generated, real.shape[-1], least=1)
    real, generated = real.double(), generated.double()
    inside = covered = 0
    for centres in torch.split(real, _ROWS):
        # The nearest of all is the centre itself.
        radii = torch.cdist(centres, real).topk(k + 1, largest=False).values[:, -1:]
        within = torch.cdist(centres, generated) < radii
        inside += int(within.sum())
        covered += int(within.any(1).sum())
    return inside / (k * len(generated)), covered / len(real)


def nearest_distances(images: Tensor, training: Tensor) -> Tensor:
    """How far each image is from the training image nearest to it: `nearest` without the which."""
    return nearest(images, training)[0]


def nearest(images: Tensor, training: Tensor) -> tuple[Tensor, Tensor]:
    """How far each image is from the training image nearest to it, and which one that is.

    Args:
        images: (N, C, H, W) in [0, 1].
        training: (T, C, H, W) in [0, 1], T ≥ 1.

    Returns:
        Distances (N,) float32, L2 over all pixels: 0 for an exact copy, at most the root of
        C × H × W. Indices (N,) int64 among the training images.

    Raises:
        InputError: when the two are not of one shape, or there are no training images.
    """
    if images.shape[1:] != training.shape[1:] or len(training) == 0:
        raise InputError(
            f"training: expected at least 1 image of shape {tuple(images.shape[1:])} as the "
            f"images, got {tuple(training.shape)}"
        )
    distances, indices = [], []
    for rows in torch.split(images.flatten(1), _ROWS):
        rows, found, where = rows.double(), [], []
        for number, columns in enumerate(torch.split(training.flatten(1), _COLUMNS)):
            columns = columns.double()
            # The table comes from |a|² + |b|² - 2ab, which for near neighbours is mostly rounding
            # (3e-7 for a copy): it only says which is the nearest.
            choice = torch.cdist(rows, columns).argmin(1)
            found.append(torch.linalg.vector_norm(rows - columns[choice], dim=1))
            where.append(choice + number * _COLUMNS)
        least, part = torch.stack(found).min(0)
        distances.append(least)
        indices.append(torch.stack(where).gather(0, part[None])[0])
    return torch.cat(distances).float(), torch.cat(indices)


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, in [0, 1].

    Predictions are sorted into `bins` of equal width by their confidence, the greatest
    probability; the error is the mean of |accuracy - confidence| over them, each bin weighted by
    its share (Naeini et al. 2015; Guo et al. 2017).

    Args:
        probabilities: (N, K) in [0, 1], N ≥ 1.
        labels: (N,) int64, 0 to K - 1.
        bins: at least 1; 15 is customary.
    """
    import_matplotlib()
    from torchmetrics.functional.classification import multiclass_calibration_error

    error = multiclass_calibration_error(
        probabilities, labels, num_classes=probabilities.shape[1], n_bins=bins
    )
    return error.item()


def auroc(inside: Tensor, outside: Tensor) -> float:
    """How well a score tells images inside the distribution from others: area under the ROC curve.

    The chance that an image inside scores higher than one outside, where equal scores count half
    (Fawcett 2006): 1 is perfect, 0.5 is guessing, and below it the others score higher.

    Args:
        inside: (N,) scores of real images, N ≥ 1, of any range.
        outside: (M,) scores of the others, M ≥ 1.

    Raises:
        InputError: when there are none of either, or a score is NaN.
    """
    import_matplotlib()
    from torchmetrics.functional.classification import binary_auroc

    for name, scores in (("inside", inside), ("outside", outside)):
        _check_scores(name, scores)
    # Ranks, since torchmetrics would squash scores beyond [0, 1] by a sigmoid that rounds the
    # greatest of them to one value.
    scores = torch.cat([inside, outside])
    ranks = torch.unique(scores, return_inverse=True)[1].double()
    real = torch.arange(len(scores), device=scores.device) < len(inside)
    return binary_auroc(ranks / ranks.max().clamp_min(1), real.long()).item()


def fpr_at_tpr(held_out: Tensor, outside: Tensor, tpr: float = 0.95) -> float:
    """Share of images outside the distribution that pass a threshold which real images pass.

    The threshold is the greatest score that a share of at least `tpr` of the held-out real images
    reach: nothing outside the distribution has a say in it (Hendrycks and Gimpel 2017).

    Args:
        held_out: (N,) scores of real images that nothing else is reported on, N ≥ 1.
        outside: (M,) scores of the others, M ≥ 1.
        tpr: in (0, 1).

    Returns:
        The false positive rate, in [0, 1]; less is better.

    Raises:
        InputError: when there are none of either, or a score is NaN.
    """
    _check_scores("outside", outside)
    return (outside >= reached_by(held_out, tpr)).double().mean().item()


def reached_by(scores: Tensor, share: float) -> float:
    """The greatest of the scores (N,), N ≥ 1, that a share of at least `share` of them reach.

    Raises `InputError` when there are none, a score is NaN, or `share` isn't in (0, 1).
    """
    checks.open_interval("share", share, 0, 1)
    _check_scores("scores", scores)
    return scores.sort(descending=True).values[math.ceil(share * len(scores)) - 1].item()


def _check_scores(name: str, scores: Tensor) -> None:
    if scores.ndim != 1 or len(scores) == 0 or scores.isnan().any():
        raise InputError(
            f"{name}: expected at least 1 score (N,), none of them NaN, got {tuple(scores.shape)}"
        )


def _check_features(name: str, features: Tensor, length: int, *, least: int) -> None:
    if features.ndim != 2 or len(features) < least or features.shape[1] != length:
        raise InputError(
            f"{name}: expected features (N, {length}) of at least {least} images, "
            f"got {tuple(features.shape)}"
        )
    if not features.isfinite().all():
        raise InputError(f"{name}: expected finite features, got NaN or infinity")
