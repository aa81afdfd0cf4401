"""Drawing, with networks whose certainty is known."""

import pytest
import torch
from torch import nn

from deceive.drawing import draw
from deceive.errors import InputError
from deceive.fooling import from_levels
from deceive.networks import Classifier
from deceive.rules import Ascent

# Steps so small that an image stays about where it began.
STILL = Ascent(rule="sign", step_size=1e-6, schedule=2)
SURE = 0.6


class Halves(nn.Module):
    """Two classes, a brighter left or right half, and rubbish, which it calls everything."""

    def __init__(self):
        super().__init__()
        self.image_shape = (1, 4, 4)
        self.weight = nn.Parameter(torch.tensor(4.0))

    def forward(self, images, noise=None):
        left, right = images.split(2, dim=3)
        by = self.weight * (left - right).mean((1, 2, 3))
        return torch.stack([by, -by, torch.full_like(by, 20)], 1)

    def certainty(self, drawn):
        logits = self(from_levels(drawn.levels))[:, :2].detach()
        return logits.softmax(1).gather(1, drawn.targets[:, None])[:, 0]


def test_it_is_the_same_however_many_there_are():
    for network, sure in ((Classifier("draw", 5, (1, 8, 8)).eval(), None), (Halves(), SURE)):
        ascent = STILL.model_copy(update={"noise": 0.1})
        many = draw(network, [1], count=9, sure=sure, ascent=ascent)
        few = draw(network, [1], count=5, sure=sure, ascent=ascent, chunk=2)
        assert torch.equal(many.levels[:5], few.levels)
        assert many.steps.tolist() == [2] * 9


def test_what_it_is_unsure_of_is_drawn_again_and_the_surest_is_kept():
    network = Halves()
    once = draw(network, [0, 1], count=100, sure=None, ascent=STILL)
    before = network.certainty(once)
    assert 0.3 < (before < SURE).double().mean() < 0.9
    for attempts in (1, 2, 4):
        drawn = draw(network, [0, 1], count=100, sure=SURE, attempts=attempts, ascent=STILL)
        after = network.certainty(drawn)
        assert torch.equal(drawn.targets, once.targets)
        assert (after >= before).all()
        same = (drawn.levels == once.levels).flatten(1).all(1)
        assert torch.equal(same, (after == before))
        assert same[before >= SURE].all()
        # Each attempt has the chance of the first.
        chance = (before < SURE).double().mean().item()
        assert (after < SURE).double().mean().item() == pytest.approx(chance**attempts, abs=0.1)
    assert len(drawn.levels.flatten(1).unique(dim=0)) == 200


def test_images_of_ones_own_keep_their_places():
    network, start = Halves(), torch.rand(6, 1, 4, 4)
    drawn = draw(network, [0, 1], count=3, start=start, sure=SURE, ascent=STILL)
    assert (drawn.images - start).abs().max() < 1 / 255
    grey = torch.full((1, 1, 4, 4), 0.5)
    drawn = draw(network, [0, 1], count=3, start=grey, sure=SURE, ascent=STILL)
    assert (drawn.images - grey).abs().max() < 1 / 255


def test_the_way_is_that_of_the_attempt_that_is_kept():
    drawn = draw(Halves(), [0, 1], count=20, sure=SURE, ascent=STILL, trajectory=True)
    for levels, way in zip(drawn.levels, drawn.trajectories, strict=True):
        assert torch.equal(way.levels[-1], levels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ascent": Ascent()}, "ascent: expected one with a schedule, got none"),
        ({"sure": 1}, "sure: expected a number between 0 and 1, got 1"),
        ({"attempts": 0}, "attempts: expected a whole number of at least 1, got 0"),
        ({"targets": 2}, "targets: expected classes 0 to 1, as the last output is rubbish, got 2"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        draw(Halves(), **{"targets": 0, "ascent": STILL} | options)
