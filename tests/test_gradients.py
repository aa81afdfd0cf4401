"""Where the gradient vanishes, is cut off or not finite."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import (
    After,
    Bands,
)
from deceive.common.errors import InputError, NoGradientWarning
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.rules import RULES
from deceive.storage.models import load_network


class Levels(nn.Module):
    """Rounds pixels to five levels: its gradient is 0 wherever it is."""

    def forward(self, images):
        return (images * 4).round() / 4


def steep(logits):
    """A softmax that can't be reached, so sharp that float32 rounds it to 0 and 1."""
    return torch.stack([row.softmax(0) for row in 200 * logits])


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("chunk", [3, 250])
def test_a_gradient_of_zero_is_said(rule, chunk):
    model, start = nn.Sequential(Levels(), Bands()), Bands().best(2)
    options = {"start": start, "steps": 7, "ascent": Ascent(rule=rule), "chunk": chunk}
    with pytest.warns(NoGradientWarning, match=r"^6 of 8 candidates \(75%\) stalled") as said:
        result = fool(model, range(4), count=2, **options)
    assert [str(warning.filename) for warning in said] == [__file__]
    assert result.fooled.tolist() == [False] * 4 + [True] * 2 + [False] * 2
    assert torch.equal(result.stalled, ~result.fooled)
    assert result.stalled.dtype == torch.bool


@pytest.mark.usefixtures("precision")
def test_a_gradient_that_has_vanished_is_said(bands):
    with (
        pytest.warns(UserWarning, match="gradient vanishes where float32 rounds"),
        pytest.warns(NoGradientWarning, match="stalled"),
    ):
        result = fool(After(steep), range(4), count=2, steps=30)
    assert 0 < result.fooling_rate < 1
    assert torch.equal(result.stalled, ~result.fooled)


@pytest.mark.parametrize("noise", [0, 0.1])
def test_who_is_out_of_steps_has_not_stalled(bands, noise):
    for steps in (0, 1, 20):
        result = fool(bands, range(4), steps=steps, confidence=0.9999, ascent=Ascent(noise=noise))
        assert not result.fooled.any()
        assert not result.stalled.any()
        assert result.caution is None


class Pooled(nn.Module):
    """Sees the lightest of every four pixels: the others have no gradient."""

    def forward(self, images):
        return 2 * F.max_pool2d(images, 2).flatten(1)


class Cropped(nn.Module):
    """Sees a corner alone."""

    def forward(self, images):
        return 2 * images[..., :2, :2].flatten(1)


@pytest.mark.parametrize("model", [Pooled(), Cropped()])
def test_one_that_looks_at_few_pixels_does_not_stall(model):
    result = fool(model, range(4), shape=(1, 4, 4), steps=3, confidence=0.9)
    assert not result.fooled.any()
    assert not result.stalled.any()


def test_at_each_waypoint_those_have_stalled_that_did_not_get_there(bands):
    model, start = nn.Sequential(Levels(), bands), bands.best(2) * 0.75
    with pytest.warns(NoGradientWarning):
        result = fool(model, 2, start=start, steps=5, confidence=(0.9, 0.995))
    assert result.stalled.all()
    assert result.waypoints[0].fooled.all()
    assert not result.waypoints[0].stalled.any()


@pytest.mark.shipped
@pytest.mark.parametrize("name", ["fast", "study", "resist", "draw", "judge"])
@pytest.mark.parametrize("start", ["uniform", "smooth", "squares"])
def test_no_shipped_network_stalls(name, start):
    result = fool(load_network(name), [3, 8], start=start, steps=3, confidence=0.999999)
    assert not result.stalled.any()


@pytest.mark.shipped
def test_from_black_the_study_network_has_no_gradient_at_all():
    # None of its ReLUs is on, and so no step is taken: the candidate says nothing of the network.
    with pytest.warns(NoGradientWarning, match=r"1 of 1 candidates \(100%\) stalled"):
        result = fool(load_network("study"), 3, start="blank", steps=3)
    assert not result.levels.any()
    result = fool(load_network("study"), 3, start="blank", ascent=Ascent(noise=0.1))
    assert result.fooled.all()


@pytest.mark.usefixtures("precision")
def test_a_gradient_that_is_not_finite_is_not_blamed_on_the_logits():
    model = nn.Sequential(Rooted(), Bands())
    with pytest.raises(
        InputError, match=r"^model: expected a finite gradient with respect to the image, "
    ):
        fool(model, [0, 1], shape=(1, 4, 4), start="blank")
    assert fool(model, [0, 1], shape=(1, 4, 4), start="gaussian", steps=3).steps.sum() > 0


class Rooted(nn.Module):
    """The root of each pixel, whose gradient at 0 is infinite."""

    def forward(self, images):
        return images.sqrt()


@pytest.mark.parametrize(
    "change", [lambda logits: logits.detach(), lambda logits: logits.round().long().float()]
)
def test_a_gradient_that_is_cut_off_is_one_clear_error(change):
    with pytest.raises(InputError, match=r"^model: expected logits with a gradient .* black box"):
        fool(After(change), [0, 1], shape=(1, 4, 4))


def test_so_is_one_that_goes_elsewhere(bands):
    class Elsewhere(nn.Module):
        def forward(self, images):
            return bands(images.to(torch.uint8).float())  # not a module of its own: not frozen

    with pytest.raises(InputError, match=r"^model: expected logits with a gradient .* black box"):
        fool(Elsewhere(), [0, 1], shape=(1, 4, 4))


def test_a_result_is_shown_in_a_line(bands):
    result = fool(bands, range(4), count=2, start="blank", trajectory=True)
    assert repr(result) == "FoolingResult(8 candidates, 8 fooled, median steps 8)"
    assert repr(result.trajectories[0]) == "Trajectory(9 frames)"
    with pytest.warns(NoGradientWarning):
        result = fool(nn.Sequential(Levels(), bands), range(4), shape=(1, 4, 4), steps=1)
    assert str(result) == "FoolingResult(4 candidates, 0 fooled, 4 stalled)"
