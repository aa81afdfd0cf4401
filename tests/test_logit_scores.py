"""Scores that need no training, against independent computations."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from scipy.stats import entropy as scipy_entropy
from sklearn.covariance import OAS
from sklearn.neighbors import NearestNeighbors

from deceive.judging import feature_scores, logit_scores

LOGITS = torch.randn(40, 7, generator=torch.Generator().manual_seed(0)).double() * 4
OTHERS = torch.randn(9, 7, generator=torch.Generator().manual_seed(1)).double() * 2


def test_scores_from_logits_follow_their_equations():
    z, p = LOGITS.numpy(), softmax(LOGITS.numpy(), 1)
    same = torch.testing.assert_close
    same(logit_scores.max_logit(LOGITS), torch.from_numpy(z.max(1)))
    same(logit_scores.energy(LOGITS), torch.from_numpy(logsumexp(z, 1)))
    same(logit_scores.entropy(LOGITS), torch.from_numpy(-scipy_entropy(p, axis=1)))
    gen = -np.sum(p**0.1 * (1 - p) ** 0.1, axis=1)
    same(logit_scores.generalised_entropy(LOGITS), torch.from_numpy(gen))


def test_gen_counts_the_hundred_greatest_of_many_classes():
    logits = torch.randn(3, 300, generator=torch.Generator().manual_seed(0)).double()
    p = np.sort(softmax(logits.numpy(), 1), axis=1)[:, -100:]
    expected = torch.from_numpy(-np.sum(p**0.1 * (1 - p) ** 0.1, axis=1))
    torch.testing.assert_close(logit_scores.generalised_entropy(logits), expected)


def test_kl_matching_compares_with_the_nearest_of_the_templates():
    p = softmax(LOGITS.numpy(), 1)
    read = p.argmax(1)
    means = np.stack([p[read == each].mean(0) for each in np.unique(read)])
    templates = logit_scores.templates_of(LOGITS)
    torch.testing.assert_close(templates, torch.from_numpy(means))
    others = softmax(OTHERS.numpy(), 1)
    expected = [-min(scipy_entropy(each, mean) for mean in means) for each in others]
    found = logit_scores.kl_matching(OTHERS, templates)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("count", [30, 8])  # more images than features, and fewer
def test_scores_from_features_follow_their_equations(count):
    generator = torch.Generator().manual_seed(count)
    real, others = (torch.randn(n, 12, generator=generator).double() for n in (count, 9))
    labels = torch.arange(count) % 3
    weight = torch.randn(3, 12, generator=generator).double()
    bias = torch.randn(3, generator=generator).double()
    same = torch.testing.assert_close

    means = np.stack([real[labels == each].numpy().mean(0) for each in range(3)])
    fitted = OAS(assume_centered=True).fit(real.numpy() - means[labels.numpy()])
    distances = cdist(others.numpy(), means, "mahalanobis", VI=np.linalg.inv(fitted.covariance_))
    gaussians = feature_scores.fit_gaussians(real, labels)
    found = feature_scores.mahalanobis(others, gaussians)
    same(found, torch.from_numpy(-(distances.min(1) ** 2)), rtol=1e-5, atol=1e-5)

    def unit(features):
        return features.numpy() / np.linalg.norm(features.numpy(), axis=1, keepdims=True)

    near = NearestNeighbors(n_neighbors=min(10, count)).fit(unit(real)).kneighbors(unit(others))[0]
    same(feature_scores.knn(others, real), torch.from_numpy(-near[:, -1]))

    origin = -np.linalg.pinv(weight.numpy()) @ bias.numpy()
    kept = np.linalg.svd(real.numpy() - origin)[2][: min(count, 12) // 2]

    def outside(features):
        centred = features.numpy() - origin
        return np.linalg.norm(centred - centred @ kept.T @ kept, axis=1)

    logits, theirs = (each @ weight.T + bias for each in (real, others))
    alpha = logits.numpy().max(1).mean() / outside(real).mean()
    subspace = feature_scores.fit_subspace(real, logits, weight, bias)
    expected = logsumexp(theirs.numpy(), 1) - alpha * outside(others)
    same(feature_scores.vim(others, theirs, subspace), torch.from_numpy(expected))

    clip = np.sort(real.numpy().ravel())[round(0.9 * real.numel()) - 1]
    clipped = np.minimum(others.numpy(), clip) @ weight.numpy().T + bias.numpy()
    found = feature_scores.react(others, weight, bias, feature_scores.clip_of(real))
    same(found, torch.from_numpy(logsumexp(clipped, 1)))
