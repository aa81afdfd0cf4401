"""The images have a bright quarter, which is the label, in noise; the judge just looks where."""

import dataclasses
from pathlib import Path

import pytest
import torch

from conftest import same_state, state_of
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, Split
from deceive.judging.likeness import density_and_coverage, frechet_between, nearest
from deceive.judging.quality import Quality, classification_accuracy_score, quality
from worlds.quarters import SHAPE, Quarters, quarters

pytestmark = pytest.mark.usefixtures("untouched_rng")


@pytest.fixture(scope="module")
def data():
    return Dataset(
        train=quarters(900, 0),
        validation=quarters(400, 1),
        test=quarters(600, 2),
        n_classes=4,
        checksum="",
        folder=Path(),
    )


def judged(data, drawn, **options) -> Quality:
    options = {"reference": data.test, "seed": 0, "with_classifier": False} | options
    return quality(drawn.images, drawn.labels, Quarters(), data, **options)


def test_images_of_the_same_kind_are_as_good_as_real_ones(data):
    found = judged(data, quarters(600, 3), with_classifier=True)
    assert found.images == 600
    assert found.judge_agreement == 1
    assert found.frechet_distance < 0.01
    assert found.floor_frechet_distance < 0.01
    assert found.density == pytest.approx(1, abs=0.15)
    assert found.floor_density == pytest.approx(1, abs=0.15)
    assert found.coverage == pytest.approx(0.97, abs=0.03)
    assert found.floor_coverage == pytest.approx(0.97, abs=0.03)
    assert found.classification_accuracy_score > 0.95
    assert found.nearest_median == pytest.approx(found.held_out_nearest_median, rel=0.02)
    assert found.nearest_first_percentile == pytest.approx(
        found.held_out_nearest_first_percentile, rel=0.05
    )
    assert found.nearest_first_percentile < found.nearest_median


def test_the_measures_are_what_their_names_say(data):
    drawn = quarters(500, 4)
    drawn = Split(drawn.images * 0.9, drawn.labels.roll(1))
    found = judged(data, drawn, reference=data.validation)
    judge, reference = Quarters(), data.validation.images
    rightly = (judge(drawn.images).argmax(1) == drawn.labels).double().mean().item()
    assert found.judge_agreement == rightly < 0.5
    assert found.frechet_distance == frechet_between(
        *map(judge.features, (drawn.images, reference))
    )
    features = judge.features(reference), judge.features(drawn.images)
    assert (found.density, found.coverage) == density_and_coverage(*features)
    distances = nearest(drawn.images, data.train.images)[0]
    assert found.nearest_median == pytest.approx(distances.quantile(0.5).item())
    assert found.nearest_first_percentile == pytest.approx(distances.quantile(0.01).item())
    assert found.classification_accuracy_score is None


def test_noise_is_no_good(data):
    generator = torch.Generator().manual_seed(5)
    noise = Split(torch.rand(600, *SHAPE, generator=generator), quarters(600, 6).labels)
    found = judged(data, noise, with_classifier=True)
    assert found.judge_agreement == pytest.approx(0.25, abs=0.1)
    assert found.frechet_distance > 20 * found.floor_frechet_distance
    assert (found.density, found.coverage) == (0, 0)
    assert found.classification_accuracy_score < 0.7
    assert found.nearest_median > found.held_out_nearest_median


def test_copies_of_training_images_are_found_out(data):
    found = judged(data, Split(data.train.images[:300], data.train.labels[:300]))
    assert found.nearest_median == found.nearest_first_percentile == 0
    assert found.held_out_nearest_first_percentile > 1
    assert found.coverage > 0.8


def test_floors_are_of_as_many_real_images_and_drawn_with_the_seed(data):
    few, same, other = (judged(data, quarters(100, 3), seed=seed) for seed in (0, 0, 1))
    assert few == same
    floors = [name for name in vars(few) if name.startswith(("floor", "held_out"))]
    assert len(floors) == 5
    for name, value in vars(few).items():
        assert (value == getattr(other, name)) == (name not in floors)
    many = judged(data, quarters(800, 3))
    assert few.floor_coverage < many.floor_coverage - 0.2
    # More than there are held-out images: all of them then.
    distances = nearest(data.test.images, data.train.images)[0]
    assert many.held_out_nearest_median == pytest.approx(distances.quantile(0.5).item())


def test_floors_are_of_training_images(data):
    bright = Split(data.train.images.clamp_min(0.5), data.train.labels)
    found = judged(dataclasses.replace(data, train=bright), quarters(500, 3))
    assert found.floor_density == found.floor_coverage == 0
    assert found.floor_frechet_distance > 10 * found.frechet_distance


def test_floors_are_of_as_many_images_of_each_class(data):
    def of_two(images):
        chosen = images.labels >= 2
        return Split(images.images[chosen], images.labels[chosen])

    found = judged(data, of_two(quarters(800, 3)))
    assert found.floor_coverage == pytest.approx(0.5, abs=0.1)  # half of the classes are not there
    assert found.frechet_distance == pytest.approx(found.floor_frechet_distance, rel=0.1)
    assert found.frechet_distance > 10 * judged(data, quarters(400, 3)).frechet_distance


def test_everything_is_left_as_it_was(data):
    judge, drawn = Quarters(), quarters(300, 3)
    before = state_of(judge)
    copies = drawn.images.clone(), drawn.labels.clone(), data.test.images.clone()
    quality(drawn.images, drawn.labels, judge, data, reference=data.test, seed=0)
    assert same_state(before, state_of(judge))
    assert all(map(torch.equal, copies, (drawn.images, drawn.labels, data.test.images)))


def test_the_score_follows_the_labels_and_never_sees_a_real_image(data):
    drawn = quarters(500, 3)
    wrong = (drawn.labels + 1) % 4

    def score(labels, data=data, seed=0):
        return classification_accuracy_score(
            drawn.images, labels, data, reference=data.test, seed=seed
        )

    right = score(drawn.labels)
    assert right > 0.95
    assert score(wrong) < 0.05
    blank = Split(torch.zeros(10, *SHAPE), torch.zeros(10, dtype=torch.int64))
    assert score(drawn.labels, dataclasses.replace(data, train=blank, validation=blank)) == right


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(9, 1, 8, 7)}, r"images: .*\(1, 8, 8\).*got \(9, 1, 8, 7\)"),
        ({"images": torch.zeros(1, *SHAPE)}, "images: expected at least 2 of shape"),
        ({"images": torch.zeros(9, *SHAPE).double()}, r"float32 in \[0, 1\], got torch.float64"),
        ({"images": torch.ones(9, *SHAPE, dtype=torch.uint8)}, "float32 in .*got torch.uint8"),
        ({"images": torch.full((9, *SHAPE), 1.5)}, r"got torch.float32 in \[1.5, 1.5\]"),
        ({"images": torch.full((9, *SHAPE), torch.nan)}, r"float32 in .* in \[nan, nan\]"),
        ({"targets": torch.arange(8)}, r"targets: expected 9 .*0 to 3, got torch.int64 .*\(8,\)"),
        ({"targets": torch.full((9,), 4)}, "targets: expected 9 of int64, 0 to 3"),
        ({"targets": torch.full((9,), -1)}, "targets: expected 9 of int64, 0 to 3"),
        ({"targets": torch.ones(9)}, "targets: .*got torch.float32"),
        ({"with_classifier": True}, "images: expected at least 250 of shape"),
    ],
)
def test_images_that_cannot_be_judged(data, change, message):
    arguments = {"images": torch.zeros(9, *SHAPE), "targets": torch.ones(9, dtype=torch.int64)}
    options = {"reference": data.test, "seed": 0, "with_classifier": False}
    with pytest.raises(InputError, match=message):
        quality(**(arguments | options | change), judge=Quarters(), data=data)


def test_training_images_are_no_reference(data):
    with pytest.raises(InputError, match="reference: expected held-out images"):
        judged(data, quarters(9, 3), reference=data.train)


def test_too_few_images_to_train_a_classifier(data):
    drawn = quarters(249, 3)
    with pytest.raises(InputError, match=r"images: expected at least 250 .*got \(249, 1, 8, 8\)"):
        classification_accuracy_score(drawn.images, drawn.labels, data, reference=data.test, seed=0)
