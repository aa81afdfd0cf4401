"""How like real images drawn ones are: as a distribution, by features, and each by itself."""

import torch
from torch import Tensor, nn

from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.plotting import import_matplotlib
from deceive.networks.guarded import Network
from deceive.networks.inference import BATCH, evaluating
from deceive.networks.modules import device_of
from deceive.networks.precision import exactly

# Rows and columns of the tables of distances that are in memory at once: 1,000 × 10,000 float64
# are 80 MB.
_ROWS, _COLUMNS = 1000, 5000


def features_of(judge: Network, images: Tensor, batch: int = BATCH) -> Tensor:
    """The judge's penultimate activations (N, F), float32, on its device, for images (N, C, H, W).

    In evaluation mode, without gradient; the judge is left as it was. Raises `InputError` when the
    images have not the shape that the judge reads.

        >>> import torch
        >>> from deceive import Classifier
        >>> from deceive.judging.likeness import features_of
        >>> features_of(Classifier("judge"), torch.rand(3, 1, 28, 28)).shape
        torch.Size([3, 128])
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


def frechet_between(features: Tensor, reference: Tensor) -> float:
    """Fréchet distance of the two gaussians that have the features' means and covariances.

    |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½), at least 0 (Heusel et al. 2017), computed in float64.
    It depends on the judge and on the number of images: figures with others aren't comparable.

        >>> import torch
        >>> from deceive.judging.likeness import frechet_between
        >>> features = torch.eye(3).double()
        >>> round(frechet_between(features + 2, features), 6)  # moved by 2 in each of 3 features
        12.0

    Args:
        features: (N, F), N ≥ 2. With fewer than some thousands the distance comes out too great.
        reference: (M, F), M ≥ 2; exchanging the two changes nothing.

    Raises:
        InputError: when there are too few, when they don't fit each other, or aren't finite.
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
    """How far generated images lie among real ones, and how many real ones they reach.

    The ball of a real image reaches to its k-th nearest other real image (Naeem et al. 2020).
    Density is the number of balls that a generated image lies in, averaged and divided by k;
    coverage is the share of balls that hold a generated image. Computed in float64.

        >>> import torch
        >>> from deceive.judging.likeness import density_and_coverage
        >>> real = torch.tensor([[0.0], [1.0], [10.0]])
        >>> density_and_coverage(real, torch.tensor([[0.5]]), k=1)[0]  # in 2 balls of 3
        2.0

    Args:
        real: features (N, F), N > k.
        generated: features (M, F), M ≥ 1.
        k: the paper's choice is 5.

    Returns:
        Density, at least 0 and on average 1 if both are of one distribution; above it the generated
        images crowd where the real ones are dense. Coverage in [0, 1], for one distribution and
        N = M on average nearly 1 - 2^-k: 0.97.

    Raises:
        InputError: when there are too few, when they don't fit each other, or aren't finite.
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


def nearest(images: Tensor, training: Tensor, at_once: int = _COLUMNS) -> tuple[Tensor, Tensor]:
    """How far each image is from the nearest training image, and which one that is.

        >>> import torch
        >>> from deceive.judging.likeness import nearest
        >>> training = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1)
        >>> distances, indices = nearest(torch.full((1, 1, 1, 1), 0.75), training[:2])
        >>> distances.tolist(), indices.tolist()
        ([0.25], [1])

    Args:
        images: (N, C, H, W) in [0, 1].
        training: (T, C, H, W) in [0, 1], T ≥ 1.
        at_once: training images to compare with at a time, which takes memory.

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
        for number, columns in enumerate(torch.split(training.flatten(1), at_once)):
            columns = columns.double()
            # The table comes from |a|² + |b|² - 2ab, which for near neighbours is mostly rounding
            # (3e-7 for a copy): it only says which is the nearest.
            choice = torch.cdist(rows, columns).argmin(1)
            found.append(torch.linalg.vector_norm(rows - columns[choice], dim=1))
            where.append(choice + number * at_once)
        least, part = torch.stack(found).min(0)
        distances.append(least)
        indices.append(torch.stack(where).gather(0, part[None])[0])
    return torch.cat(distances).float(), torch.cat(indices)


def _check_features(name: str, features: Tensor, length: int, *, least: int) -> None:
    if features.ndim != 2 or len(features) < least or features.shape[1] != length:
        raise InputError(
            f"{name}: expected features (N, {length}) of at least {least} images, "
            f"got {tuple(features.shape)}"
        )
    if not features.isfinite().all():
        raise InputError(f"{name}: expected finite features, got NaN or infinity")
