"""How good drawn images are: as digits, as a distribution, as a training set, and as new ones."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, Split
from deceive.judging.likeness import density_and_coverage, features_of, frechet_between, nearest
from deceive.judging.measures import agreement
from deceive.networks.guarded import Network
from deceive.networks.inference import accuracy
from deceive.training.fit import fit
from deceive.training.recipes import RECIPES, build

# A classifier is trained on the judged images: at least one batch of its recipe.
LEAST_JUDGED = RECIPES["judge"].batch_size


@dataclass(frozen=True)
class Quality:
    """What `quality` found. Where a measure has a floor (`floor_…`), it is what real images get."""

    images: int
    """Number of images judged. Fréchet distances of other numbers aren't comparable."""
    judge_agreement: float
    """Share that the judge takes for their target."""
    frechet_distance: float
    """Of the judge's features, to the reference; less is better."""
    floor_frechet_distance: float
    """The same for as many real training images of each class: no generator is expected to get
    below it. (Class proportions other than the reference's are enough for a distance.)"""
    density: float
    """Among the reference, of the judge's features; see `likeness.density_and_coverage`."""
    floor_density: float
    coverage: float
    """Of the reference, by the judge's features."""
    floor_coverage: float
    classification_accuracy_score: float | None
    """Accuracy on the reference of a network trained on the images alone; None if not asked for."""
    nearest_median: float
    """Distance to the nearest training image, over pixels: `likeness.nearest`."""
    nearest_first_percentile: float
    held_out_nearest_median: float
    """The same for equally many reference images, which the network can't have memorised. Copies of
    training images lie clearly nearer than these."""
    held_out_nearest_first_percentile: float


def quality(
    images: Tensor,
    targets: Tensor,
    judge: Network,
    data: Dataset,
    *,
    reference: Split,
    seed: int,
    with_classifier: bool = True,
) -> Quality:
    """Judge drawn images by every measure of `Quality`.

    Args:
        images: (N, C, H, W) float32 in [0, 1], N ≥ 2, and at least a batch of the judge's recipe
            if a classifier is trained. There should be as many as in the reference.
        targets: (N,) int64, the digit that each is meant to be.
        judge: the classifier outside the loop.
        data: what the generator was trained on.
        reference: real images to compare with: `data.test` for a final figure, `data.validation`
            for a choice.
        seed: for the classifier, and for the choice of real images to measure floors on: as many
            training images of each class as there are targets, and N held-out images of any class
            (all of them if there are fewer).
        with_classifier: whether to train a classifier for the classification accuracy score, which
            takes longest.

    Raises:
        InputError: when images or targets are of another kind or don't fit the data, or the
            reference is the training images.
    """
    _check(images, targets, data, least=LEAST_JUDGED if with_classifier else 2)
    if reference is data.train:
        raise InputError("reference: expected held-out images, got the training images")
    generator = torch.Generator().manual_seed(seed)
    floor = _of_classes(data.train, targets, generator)
    held_out = _some(reference.images, len(images), generator)

    real = features_of(judge, reference.images)
    of_images, of_floor = features_of(judge, images), features_of(judge, floor)
    density, coverage = density_and_coverage(real, of_images)
    floor_density, floor_coverage = density_and_coverage(real, of_floor)
    median, first = _median_and_first_percentile(nearest(images, data.train.images)[0])
    held_out_median, held_out_first = _median_and_first_percentile(
        nearest(held_out, data.train.images)[0]
    )
    score = None
    if with_classifier:
        score = classification_accuracy_score(images, targets, data, reference=reference, seed=seed)
    return Quality(
        images=len(images),
        judge_agreement=agreement(judge, images, targets),
        frechet_distance=frechet_between(of_images, real),
        floor_frechet_distance=frechet_between(of_floor, real),
        density=density,
        floor_density=floor_density,
        coverage=coverage,
        floor_coverage=floor_coverage,
        classification_accuracy_score=score,
        nearest_median=median,
        nearest_first_percentile=first,
        held_out_nearest_median=held_out_median,
        held_out_nearest_first_percentile=held_out_first,
    )


def classification_accuracy_score(
    images: Tensor, targets: Tensor, data: Dataset, *, reference: Split, seed: int
) -> float:
    """Accuracy on real images of a network trained on generated ones alone (Ravuri, Vinyals 2019).

    It has the judge's architecture and recipe. Each image is seen as often as a real one would be,
    so fewer images make fewer steps (600 for 10,000 images).

    Args:
        images: (N, C, H, W) float32 in [0, 1], at least a batch of the recipe. The network is
            normalised by them too.
        targets: (N,) int64, their labels.
        data: says what images and classes there are; none of its images are trained on.
        reference: the real images (`data.test` or `data.validation`).
        seed: for the weights, the order and the augmentation.

    Returns:
        The share of the reference that it reads correctly, in [0, 1].

    Raises:
        InputError: when images or targets are of another kind, or don't fit the data.
    """
    _check(images, targets, data, least=LEAST_JUDGED)
    network = build("judge", replace(data, train=Split(images, targets)), seed=seed)
    fit(network, images, targets, RECIPES["judge"], seed=seed)
    return accuracy(network, reference.images, reference.labels)


def _check(images: Tensor, targets: Tensor, data: Dataset, *, least: int) -> None:
    if images.shape[1:] != data.image_shape or len(images) < least:
        raise InputError(
            f"images: expected at least {least} of shape {data.image_shape} as the data's, "
            f"got {tuple(images.shape)}"
        )
    if images.dtype != torch.float32 or not ((images >= 0) & (images <= 1)).all():
        raise InputError(
            f"images: expected float32 in [0, 1], got {images.dtype} in "
            f"[{images.min().item():g}, {images.max().item():g}]"
        )
    fits = targets.dtype == torch.int64 and targets.shape == images.shape[:1]
    if not fits or not ((targets >= 0) & (targets < data.n_classes)).all():
        raise InputError(
            f"targets: expected {len(images)} of int64, 0 to {data.n_classes - 1}, "
            f"got {targets.dtype} of shape {tuple(targets.shape)}"
        )


def _of_classes(real: Split, targets: Tensor, generator: torch.Generator) -> Tensor:
    """Real images drawn at random, as many of each class as there are targets of it."""
    order = torch.randperm(len(real), generator=generator)
    labels = real.labels[order]
    chosen = [order[labels == k][:count] for k, count in enumerate(targets.bincount().tolist())]
    return real.images[torch.cat(chosen)]


def _some(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` images drawn at random: MNIST's first test images are easier than its last ones."""
    return images[torch.randperm(len(images), generator=generator)[:count]]


def _median_and_first_percentile(distances: Tensor) -> tuple[float, float]:
    median, first = distances.quantile(distances.new_tensor([0.5, 0.01])).tolist()
    return median, first
