"""Fit a mixture to real images: k-means, and then a factor analyser of each cluster."""

import torch
from torch import Generator, Tensor

from deceive.common import processes
from deceive.data.dataset import Split
from deceive.networks.mixture import Mixture

# The most images of a class, directions in which clusters are told apart, and passes of k-means.
_IMAGES, _APART, _PASSES = 5000, 40, 12

# The fewest images per cluster, on average, and per direction of a cluster.
_OF_CLUSTER, _OF_DIRECTION = 100, 10

# The least standard deviation of a pixel. A component's variance is shrunk towards that of its
# whole class, which counts as much as this many images.
_LEAST, _SHRINKING = 0.02, 10

# The share of the real images that may get less than log-odds of 1 for their class.
_REFUSED = 0.03

STEEP, GENTLE = 60.0, 6.0
"""How far the median log-odds are above those that 97% of real images reach. It is steep while a
network is trained beside the mixture, so that candidates soon come near to a class. It is gentle
afterwards, so that the mixture leaves the choice of the class to others."""


@torch.no_grad()
def scale_mixture(mixture: Mixture, held_out: Split, above: float) -> None:
    """Scale the log-odds so that 97% of the images get at least 1 for their class.

    Args:
        mixture: fitted; scaled in place.
        held_out: real images that it wasn't fitted to.
        above: by how much the median is above the least of the 97%.
    """
    own = _own(mixture, held_out)
    factor = above / (own.median() - own.quantile(_REFUSED)).clamp_min(1e-3)
    mixture.level *= factor
    mixture.scale *= factor
    mixture.offset.fill_(1 - _own(mixture, held_out).quantile(_REFUSED).item())


@torch.no_grad()
def fit_mixture(mixture: Mixture, train: Split, held_out: Split, seed: int) -> None:
    """Fit a mixture in place.

    Args:
        mixture: for images of this shape and these classes.
        train: real images for the components.
        held_out: others, for the scale of the log-odds.
        seed: chooses images and where clusters begin.
    """
    generator = Generator().manual_seed(seed)
    with processes.seeded(seed, torch.device("cpu")):  # which `svd_lowrank` draws from
        _fit_components(mixture, train, generator)
    scale_mixture(mixture, held_out, STEEP)


def _own(mixture: Mixture, split: Split) -> Tensor:
    """How alike images are to their own class, (N,)."""
    likeness = torch.cat([mixture.likeness(part) for part in torch.split(split.images, 500)])
    return likeness.gather(1, split.labels[:, None])[:, 0]


def _fit_components(mixture: Mixture, train: Split, generator: Generator) -> None:
    for label in range(mixture.classes):
        places = (train.labels == label).nonzero()[:, 0]
        order = torch.randperm(len(places), generator=generator)
        places = places[order[:_IMAGES]]
        x = torch.cat([mixture.seen(train.images[part]) for part in torch.split(places, 500)])
        first = label * mixture.each
        for number, members in enumerate(_clusters(x, mixture.each, generator), first):
            _fit_component(mixture, number, x[members], x.var(0, correction=0))
    mixture.level -= mixture.level.max()


def _clusters(x: Tensor, count: int, generator: Generator) -> list[Tensor]:
    """Indices of the members of `count` clusters of x (N, D), the same ones if there are fewer."""
    count_found = max(1, min(count, len(x) // _OF_CLUSTER))
    _, _, directions = torch.svd_lowrank(x - x.mean(0), q=min(_APART, *x.shape))
    z = x @ directions
    centres = z[torch.randperm(len(z), generator=generator)[:count_found]]
    for _ in range(_PASSES):
        nearest = torch.cdist(z, centres).argmin(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, z)
        sizes = nearest.bincount(minlength=count_found)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    nearest = torch.cdist(z, centres).argmin(1)
    found = [(nearest == number).nonzero()[:, 0] for number in range(count_found)]
    found = [members for members in found if len(members) > 1] or [torch.arange(len(x))]
    return [found[number % len(found)] for number in range(count)]


def _fit_component(mixture: Mixture, number: int, x: Tensor, wide: Tensor) -> None:
    """The analyser of some images x (n, D), whose class has pixels of the variance `wide` (D,)."""
    n, rank = len(x), mixture.directions.shape[1]
    mean = x.mean(0)
    away = x - mean
    rank_found = min(rank, n // _OF_DIRECTION, x.shape[1])
    weights = x.new_zeros(x.shape[1], rank)
    variance = away.square().sum(0)
    if rank_found:
        _, values, directions = torch.svd_lowrank(away, q=min(rank_found + 4, *x.shape))
        directions = directions[:, :rank_found]
        lengths = values[:rank_found].square() / n
        weights[:, :rank_found] = directions * lengths.sqrt()
        variance = (away - away @ directions @ directions.T).square().sum(0)
    variance = (variance + _SHRINKING * wide) / (n + _SHRINKING) + _LEAST**2
    # The inverse of W Wᵀ + Ψ is Ψ⁻¹ - L Lᵀ (Woodbury).
    scaled = weights / variance[:, None]
    inner = torch.eye(rank) + weights.T @ scaled
    factor = torch.linalg.cholesky(torch.linalg.inv(inner))
    mixture.mean[number] = mean
    mixture.root[number] = variance.rsqrt()
    mixture.directions[number] = (scaled @ factor).T
    density = variance.log().sum() + inner.logdet()
    mixture.level[number] = -mixture.scale * density
