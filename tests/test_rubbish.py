import pytest
import torch

from deceive.common.errors import InputError
from deceive.data.dataset import Split
from deceive.training.rubbish import RubbishSet

SHAPE = (1, 5, 4)


def clean(n=3):
    return Split(torch.rand(n, *SHAPE), torch.arange(n))


def test_noise_is_what_its_seed_makes_it():
    one, same, other = (RubbishSet.of_noise(6, SHAPE, seed=seed) for seed in (1, 1, 2))
    assert one.levels.shape == (6, *SHAPE)
    assert one.levels.dtype == torch.uint8
    assert torch.equal(one.levels, same.levels)
    assert not torch.equal(one.levels, other.levels)
    # A larger set begins with the smaller one.
    assert torch.equal(RubbishSet.of_noise(9, SHAPE, seed=1).levels[:6], one.levels)


def test_noise_of_another_kind():
    assert not RubbishSet.of_noise(2, SHAPE, start="blank").levels.any()
    with pytest.raises(InputError, match="start: expected one of"):
        RubbishSet.of_noise(2, SHAPE, start="fog")


def test_images_are_the_levels_in_shares():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    images = RubbishSet(levels).images
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (0, 1)
    assert torch.equal((images * 255).round().to(torch.uint8), levels)


def test_sets_add_up_in_order():
    noise, blank = RubbishSet.of_noise(4, SHAPE), RubbishSet.of_noise(2, SHAPE, start="blank")
    both = noise + blank
    assert (len(noise), len(blank), len(both)) == (4, 2, 6)
    assert torch.equal(both.levels[:4], noise.levels)
    assert torch.equal(both.levels[4:], blank.levels)


def test_beside_clean_images_rubbish_is_one_class_more():
    split, rubbish = clean(), RubbishSet.of_noise(2, SHAPE)
    images, labels, mask = rubbish.beside(split, n_classes=10)
    assert torch.equal(images, torch.cat([split.images, rubbish.images]))
    assert labels.tolist() == [0, 1, 2, 10, 10]
    assert labels.dtype == torch.int64
    assert mask.tolist() == [False, False, False, True, True]


def test_beside_leaves_both_sets_as_they_were():
    split, rubbish = clean(), RubbishSet.of_noise(2, SHAPE)
    before = split.images.clone(), split.labels.clone(), rubbish.levels.clone()
    images, labels, _ = rubbish.beside(split, n_classes=3)
    images.zero_()
    labels.zero_()
    now = split.images, split.labels, rubbish.levels
    assert all(map(torch.equal, before, now))
