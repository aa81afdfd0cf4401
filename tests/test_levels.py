"""Images as levels of grey, and back."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from deceive.common.levels import from_levels, to_levels
from worlds.fooling import all_bounds


@given(all_bounds())
def test_levels_go_to_pixels_and_back(bounds):
    levels = torch.arange(256).to(torch.uint8)
    images = from_levels(levels, bounds)
    assert images.dtype == torch.float32
    assert images.min() >= bounds[0]
    assert images.max() <= bounds[1]
    assert torch.equal(to_levels(images, bounds), levels)
    assert levels[255] == 255


@given(all_bounds(), st.integers(0, 2**32))
def test_pixels_go_to_the_nearest_level(bounds, seed):
    low, high = bounds
    shares = torch.rand(100, generator=torch.Generator().manual_seed(seed))
    images = (shares * (high - low) + low).clamp(low, high)
    before = images.clone()
    error = (from_levels(to_levels(images, bounds), bounds) - images).abs().max().item()
    assert error <= (high - low) / 255 * 0.5 + 1e-4 * abs(low) + 1e-4 * (high - low)
    assert torch.equal(images, before)


def test_levels_of_the_ends():
    assert to_levels(torch.tensor([0.0, 0.5, 1.0])).tolist() == [0, 128, 255]
    assert to_levels(torch.tensor([-1.0, 1.0]), (-1, 1)).tolist() == [0, 255]
    assert from_levels(torch.tensor([0, 255], dtype=torch.uint8), (-1, 1)).tolist() == [-1, 1]
