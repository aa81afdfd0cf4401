import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from conftest import same_state, state_of
from deceive.common.errors import InputError
from deceive.judging.likeness import density_and_coverage, features_of, frechet_between, nearest
from deceive.networks.classifier import Classifier


class Pixels(nn.Module):
    """A judge whose features are the pixels themselves."""

    def __init__(self, shape):
        super().__init__()
        self.image_shape = shape

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gaussian(mean, covariance, n=400, seed=0):
    """(n, F) float64 that have the mean and the covariance themselves, not only about."""
    mean, covariance = torch.tensor(mean).double(), torch.tensor(covariance).double()
    sample = randn(n, len(mean), seed=seed).double()
    sample = sample - sample.mean(0)
    white = torch.linalg.solve_triangular(
        torch.linalg.cholesky(sample.T.cov()), sample.T, upper=False
    )
    return mean + (torch.linalg.cholesky(covariance) @ white).T


# Features.


def test_features_are_what_the_head_reads():
    judge = Classifier("judge", 4, (1, 8, 8)).eval()
    images = torch.rand(1203, 1, 8, 8)
    features = features_of(judge, images)
    assert features.shape == (1203, judge.num_features)
    assert features.dtype == torch.float32
    assert not features.requires_grad
    with torch.no_grad():
        assert torch.allclose(judge.head(features), judge(images), atol=1e-5)
    assert torch.allclose(features_of(judge, images, batch=100), features, atol=1e-5)


def test_features_are_taken_in_evaluation_mode_and_the_judge_is_left_as_it_was():
    judge = Classifier("study", 4, (1, 12, 12))  # with dropout
    judge.head.eval()
    before = state_of(judge)
    images = torch.rand(20, 1, 12, 12)
    assert torch.equal(features_of(judge, images), features_of(judge, images))
    assert same_state(before, state_of(judge))


def test_features_of_images_of_another_shape():
    judge = Classifier("judge", 4, (1, 8, 8))
    with pytest.raises(InputError, match=r"expected a shape of \('N', 1, 8, 8\).*got \(2, 1, 9, 8"):
        features_of(judge, torch.rand(2, 1, 9, 8))


# The Fréchet distance.


@pytest.mark.parametrize(
    ("mean", "covariance", "distance"),
    [
        ([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]], 0),
        ([4.0, 6.0], [[1.0, 0.0], [0.0, 1.0]], 25),
        ([1.0, 2.0], [[9.0, 0.0], [0.0, 0.25]], (3 - 1) ** 2 + (0.5 - 1) ** 2),
        ([1.0, 0.0], [[4.0, 0.0], [0.0, 4.0]], 2**2 + 1 + 1),
    ],
)
def test_frechet_distance_of_gaussians(mean, covariance, distance):
    # As images of two pixels, outside of [0, 1] and between 8-bit levels: nothing is rounded.
    reference = gaussian([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]]).float().reshape(-1, 1, 1, 2)
    images = gaussian(mean, covariance, n=300, seed=1).float().reshape(-1, 1, 1, 2)
    judge = Pixels((1, 1, 2))
    found = frechet_between(features_of(judge, images), features_of(judge, reference))
    assert found == pytest.approx(distance, rel=1e-5, abs=1e-5)


def test_frechet_distance_of_gaussians_that_lie_askew():
    one, other = [[2.0, 1.0], [1.0, 3.0]], [[5.0, -2.0], [-2.0, 1.0]]
    a, b = torch.tensor(one).double(), torch.tensor(other).double()
    # The trace of the root of a 2×2 matrix M is √(tr M + 2 √det M).
    root = math.sqrt(torch.trace(a @ b) + 2 * math.sqrt(torch.det(a) * torch.det(b)))
    expected = 1 + torch.trace(a + b).item() - 2 * root
    features = gaussian([0.0, 0.0], one), gaussian([0.0, 1.0], other, seed=1)
    assert frechet_between(*features) == pytest.approx(expected, rel=1e-10)
    assert frechet_between(*reversed(features)) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_of_float32_features_is_reckoned_in_float64():
    # All within a hundredth of each other, and far from 0.
    features = (1000 + 0.01 * randn(500, 3)).float()
    assert frechet_between(features + 0.5, features) == pytest.approx(0.75, rel=1e-6)
    other = 1000 + 0.01 * randn(500, 3, seed=1)
    exact = frechet_between(other.double(), features.double())
    assert frechet_between(other, features) == exact


@pytest.mark.parametrize("n", [2, 5, 60])
def test_frechet_distance_of_a_set_to_itself_is_0_even_where_it_is_flat(n):
    features = randn(n, 40) * (torch.arange(40) > 7)  # some features are dead
    assert frechet_between(features, features) == pytest.approx(0, abs=1e-5)
    assert frechet_between(features, features) >= 0


@given(st.integers(1, 6), st.integers(2, 30), st.integers(0, 99), st.floats(-5, 5))
def test_moving_one_set_adds_the_square_of_the_way(length, n, seed, way):
    features, reference = randn(n, length, seed=seed).double(), randn(20, length).double()
    reference = reference - reference.mean(0) + features.mean(0)
    before = frechet_between(features, reference)
    assert frechet_between(features + way, reference) == pytest.approx(
        before + length * way**2, rel=1e-4, abs=1e-4
    )


@pytest.mark.parametrize(
    ("features", "reference", "message"),
    [
        (torch.rand(1, 3), torch.rand(5, 3), r"features: .*\(N, 3\) of at least 2 .*got \(1, 3\)"),
        (torch.rand(5, 3), torch.rand(1, 3), r"reference: .*at least 2 images, got \(1, 3\)"),
        (torch.rand(5, 2), torch.rand(5, 3), r"features: expected features \(N, 3\).*got \(5, 2\)"),
        (torch.rand(5, 3, 1), torch.rand(5, 1), r"features: .*got \(5, 3, 1\)"),
        (torch.full((5, 3), torch.nan), torch.rand(5, 3), "features: expected finite"),
        (torch.rand(5, 3), torch.full((5, 3), torch.inf), "reference: expected finite"),
    ],
)
def test_frechet_distance_of_what_has_none(features, reference, message):
    with pytest.raises(InputError, match=message):
        frechet_between(features, reference)


# Density and coverage.


def by_definition(real, generated, k):
    """Density and coverage, image by image."""
    inside, covered = 0, set()
    for i, centre in enumerate(real.tolist()):
        others = [other for j, other in enumerate(real.tolist()) if j != i]
        radius = sorted(math.dist(centre, other) for other in others)[k - 1]
        for image in generated.tolist():
            if math.dist(centre, image) < radius:
                inside += 1
                covered.add(i)
    return inside / (k * len(generated)), len(covered) / len(real)


@given(st.integers(1, 4), st.integers(0, 20), st.integers(1, 25), st.integers(1, 5), st.integers())
def test_density_and_coverage_are_as_defined(k, more, n_generated, length, seed):
    real = randn(k + 1 + more, length, seed=seed % 1000)
    generated = 1.2 * randn(n_generated, length, seed=seed % 1000 + 1)
    expected = by_definition(real.double(), generated.double(), k)
    assert density_and_coverage(real, generated, k) == pytest.approx(expected)


@pytest.mark.parametrize("k", [1, 5])
def test_a_set_has_density_and_coverage_1_of_itself(k):
    real = randn(2300, 30)  # more than a table's rows
    assert density_and_coverage(real, real, k) == (1, 1)


@pytest.mark.parametrize(("n_real", "n_generated"), [(1500, 1500), (1500, 500), (300, 1500)])
def test_density_and_coverage_of_one_distribution(n_real, n_generated):
    density, coverage = density_and_coverage(randn(n_real, 8), randn(n_generated, 8, seed=1))
    # The chance that of the k + 1 nearest to a real image, in whatever order, the last is real too.
    missed = math.prod((n_real - i) / (n_real + n_generated - i) for i in range(1, 6))
    assert density == pytest.approx(1, abs=0.06)
    assert coverage == pytest.approx(1 - missed, abs=0.02)


def test_far_away_there_is_neither_density_nor_coverage():
    real = randn(50, 6)
    assert density_and_coverage(real, real + 100) == (0, 0)


def test_one_image_again_and_again_covers_little():
    real = randn(1000, 3)
    density, coverage = density_and_coverage(real, torch.zeros(700, 3))
    assert (density, coverage) == density_and_coverage(real, torch.zeros(1, 3))
    assert density > 0.2
    assert 0 < coverage < 0.05


def test_in_the_middle_of_many_dimensions_it_is_dense():
    assert density_and_coverage(randn(500, 30), torch.zeros(10, 30))[0] > 5


def test_density_and_coverage_far_from_the_origin():
    real, generated = randn(60, 4), randn(60, 4, seed=1)
    moved = density_and_coverage(real.double() + 1e4, generated.double() + 1e4)
    assert moved == density_and_coverage(real, generated)


@pytest.mark.parametrize(
    ("real", "generated", "k", "message"),
    [
        (torch.rand(5, 2), torch.rand(5, 2), 5, r"real: .*at least 6 images, got \(5, 2\)"),
        (torch.rand(9, 2), torch.rand(0, 2), 5, r"generated: .*at least 1 images, got \(0, 2\)"),
        (torch.rand(9, 2), torch.rand(9, 3), 5, r"generated: .*\(N, 2\).*got \(9, 3\)"),
        (torch.rand(9, 2), torch.rand(9, 2), 0, "k: expected a whole number of at least 1, got 0"),
        (torch.rand(9, 2), torch.full((9, 2), torch.nan), 5, "generated: expected finite"),
    ],
)
def test_density_and_coverage_of_what_has_none(real, generated, k, message):
    with pytest.raises(InputError, match=message):
        density_and_coverage(real, generated, k)


# The nearest training image.


def test_copies_are_at_0_and_the_least_change_is_not():
    # 8-bit images, brighter than digits are, so that rounding has much to spoil.
    generator = torch.Generator().manual_seed(0)
    levels = torch.randint(128, 256, (5500, 1, 16, 16), generator=generator)  # two tables' columns
    training = levels.float() / 255
    copied = training[[0, 4999, 5000, 5499]]
    assert nearest(copied, training)[0].tolist() == [0, 0, 0, 0]
    changed = levels[[0, 4999, 5000, 5499]]
    changed[:, 0, 3, 3] -= 1
    found = nearest(changed.float() / 255, training)[0]
    assert found.tolist() == pytest.approx([1 / 255] * 4, rel=1e-4)


def test_the_nearer_of_two_that_nearly_agree():
    image = torch.full((1, 1, 28, 28), 0.9)
    training = image.repeat(3, 1, 1, 1)
    for n, change in enumerate([3e-4, 1e-4, 2e-4]):
        training[n, 0, n, n] += change
    assert nearest(image, training)[0].item() == pytest.approx(1e-4, rel=1e-2)


def test_distances_from_black_and_white():
    black, white = torch.zeros(1, 2, 5, 5), torch.ones(1, 2, 5, 5)
    distances = nearest(torch.cat([black, white, white / 2]), black)[0]
    assert distances.dtype == torch.float32
    assert distances.tolist() == pytest.approx([0, math.sqrt(50), math.sqrt(12.5)])


@given(st.integers(0, 12), st.integers(1, 12), st.integers(1, 40), st.integers(0, 99))
def test_the_nearest_is_the_least_of_all_distances(n, n_training, pixels, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 1, 1, pixels, generator=generator)
    training = torch.rand(n_training, 1, 1, pixels, generator=generator)
    differences = images[:, None].double() - training[None].double()
    expected = differences.flatten(2).square().sum(2).sqrt().amin(1)
    found = nearest(images, training)[0]
    assert found.shape == (n,)
    assert torch.allclose(found.double(), expected, rtol=1e-6)


def test_many_images_keep_their_order():
    training = torch.arange(5200.0).reshape(-1, 1, 1, 1)
    images = training.flip(0)[:2100] + torch.linspace(0, 0.4, 2100).reshape(-1, 1, 1, 1)
    found = nearest(images, training)[0]
    assert torch.allclose(found, torch.linspace(0, 0.4, 2100), atol=1e-3)


@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (3, 1, 4, 5), (3, 16)])
def test_training_images_to_which_there_is_no_distance(shape):
    with pytest.raises(InputError, match=r"training: expected at least 1 .*\(1, 4, 4\).*got"):
        nearest(torch.rand(2, 1, 4, 4), torch.rand(shape))[0]


def test_nearest_says_which():
    generator = torch.Generator().manual_seed(0)
    training = torch.rand(30, 1, 3, 3, generator=generator)
    which = torch.tensor([29, 0, 7])
    distances, indices = nearest(training[which] + 0.001, training)
    assert torch.equal(indices, which)
    assert distances.tolist() == pytest.approx([0.003] * 3, rel=1e-3)


def test_nearest_counts_through_the_parts_of_a_large_set():
    training = torch.arange(11.0)[:, None, None, None] / 11
    assert nearest(training[[10, 3, 4]], training, at_once=4)[1].tolist() == [10, 3, 4]
