"""Scores from a network's features, fitted on real images; greater for images like those.

Features are what goes into the last linear layer, which makes logits W f + b of them. A few hundred
real images are enough; they must not be those that a threshold is taken from, to which the fit is
closer than to new ones.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Neighbours that `knn` counts; Sun et al. (2022) take 50 of 50,000 images, 10 of 13,000.
_NEIGHBOURS = 10

# The share of the activations of real images that ReAct leaves as they are.
_KEPT = 0.9


class Gaussians(NamedTuple):
    """A gaussian for each class, all of one covariance."""

    means: Tensor
    """(T, D), whitened, of the classes that there are images of."""
    whitening: Tensor
    """(D, D): features times it have the covariance 1 within a class."""


def fit_gaussians(features: Tensor, labels: Tensor) -> Gaussians:
    """The classes' means, and their covariance, which is shrunk towards a multiple of 1.

    How much it is shrunk follows from the number of images (oracle approximating shrinkage, Chen et
    al. 2010), so that fewer images than features will do.

    Args:
        features: (N, D) of real images, not all the same within every class.
        labels: (N,) of whole numbers.
    """
    classes, which = torch.unique(labels, return_inverse=True)
    means = torch.stack([features[which == each].mean(0) for each in range(len(classes))])
    within = features - means[which]
    n, d = within.shape
    covariance = within.T @ within / n
    scale, spread = covariance.trace() / d, covariance.square().mean()
    share = (spread + scale**2) / ((n + 1) * (spread - scale**2 / d)).clamp_min(1e-30)
    share = share.clamp(1e-6, 1)
    shrunk = (1 - share) * covariance + share * scale * torch.eye(d, dtype=features.dtype)
    root = torch.linalg.cholesky(torch.linalg.inv(shrunk))
    return Gaussians(means @ root, root)


def mahalanobis(features: Tensor, gaussians: Gaussians) -> Tensor:
    """Minus the squared Mahalanobis distance (N,) from the nearest class (Lee et al. 2018).

    max_k - (f - μ_k)ᵀ Σ⁻¹ (f - μ_k) for features f (N, D), means μ_k and the shared covariance Σ.
    """
    whitened = features @ gaussians.whitening
    return -torch.cdist(whitened, gaussians.means).amin(1).square()


def knn(features: Tensor, bank: Tensor) -> Tensor:
    """Minus the distance (N,) from the tenth nearest of real images' features (Sun et al. 2022).

    - ‖f / ‖f‖ - g_(k) / ‖g_(k)‖‖ for features f (N, D), g_(k) the k-th nearest in the bank (M, D),
    k = 10, or M if it is less.
    """
    distances = torch.cdist(F.normalize(features), F.normalize(bank))
    return -distances.kthvalue(min(_NEIGHBOURS, len(bank))).values


class Subspace(NamedTuple):
    """The directions that the features of real images have in common."""

    origin: Tensor
    """(D,): the features whose logits are nearest to 0."""
    basis: Tensor
    """(D, P), orthonormal."""
    alpha: Tensor
    """(): makes residuals as large as logits."""


def fit_subspace(features: Tensor, logits: Tensor, weight: Tensor, bias: Tensor) -> Subspace:
    """The principal directions of features, for `vim`: half as many as there can be.

    Args:
        features: (N, D) of real images.
        logits: (N, K), their logits W f + b.
        weight: (K, D), W.
        bias: (K,), b.
    """
    origin = -torch.linalg.pinv(weight) @ bias
    centred = features - origin
    basis = _principal(centred, max(1, min(centred.shape) // 2))
    alpha = logits.amax(1).mean() / _residual(centred, basis).mean()
    return Subspace(origin, basis, alpha)


def _principal(centred: Tensor, count: int) -> Tensor:
    """The first principal directions (D, count) of features (N, D), by the smaller product."""
    n, d = centred.shape
    if n >= d:
        directions: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors
        return directions[:, -count:]
    found = torch.linalg.eigh(centred @ centred.T)
    values = found.eigenvalues[-count:].clamp_min(torch.finfo(centred.dtype).tiny)
    basis: Tensor = centred.T @ found.eigenvectors[:, -count:] / values.sqrt()
    return basis


def vim(features: Tensor, logits: Tensor, subspace: Subspace) -> Tensor:
    """The energy less a virtual logit (N,): log Σ_j exp(z_j) - α ‖r‖ (Wang et al. 2022, ViM).

    Args:
        features: (N, D); r is the part of them, from the origin, that is outside the subspace.
        logits: (N, K), z.
        subspace: of `fit_subspace`.
    """
    residual = _residual(features - subspace.origin, subspace.basis)
    return logits.logsumexp(1) - residual * subspace.alpha


def _residual(centred: Tensor, basis: Tensor) -> Tensor:
    """The length (N,) of what of features (N, D) is outside a subspace (D, P)."""
    length: Tensor = torch.linalg.vector_norm(centred - centred @ basis @ basis.T, dim=1)
    return length


def clip_of(features: Tensor) -> Tensor:
    """For ReAct: the activation () that 90% of those of real images (N, D) don't exceed."""
    flat = features.flatten()
    return flat.kthvalue(max(1, round(_KEPT * len(flat)))).values


def react(features: Tensor, weight: Tensor, bias: Tensor, clip: Tensor) -> Tensor:
    """The energy (N,) with clipped features: log Σ_j exp((W min(f, c) + b)_j) (Sun et al. 2021).

    Args:
        features: (N, D), f.
        weight: (K, D), W.
        bias: (K,), b.
        clip: (), c, of `clip_of`.
    """
    return (features.minimum(clip) @ weight.T + bias).logsumexp(1)
