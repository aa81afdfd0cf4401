"""The fixed number of steps that drawing and the rounds are made of."""

import pytest
import torch
from torch import nn

from conftest import Bands
from deceive.common.errors import InputError
from deceive.common.levels import from_levels, to_levels
from deceive.fooling.ascent import Ascent, Schedule
from deceive.fooling.climb import climb
from deceive.fooling.fool import fool
from deceive.fooling.rules import AIMLESS
from deceive.fooling.softening import softened
from deceive.fooling.starts import begin
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import confidence_of, logits_of

START = begin("uniform", range(4), (1, 4, 4), 0)


@pytest.mark.parametrize("rule", AIMLESS)
@pytest.mark.parametrize("noise", [0, 0.2])
def test_it_takes_the_steps_of_fool(bands, rule, noise):
    ascent = Ascent(rule=rule, noise=noise)
    expected = fool(bands, range(4), start=START, steps=5, confidence=0.9999, ascent=ascent, seed=3)
    assert expected.steps.tolist() == [5] * 4
    levels = climb(bands, START, range(4), ascent, steps=5, seed=3)
    assert torch.equal(levels, expected.levels)


def test_soft_steps_have_no_grain():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False))
    grain = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    network[1].weight.data.copy_(grain)
    grey = torch.full((1, 1, 8, 8), 0.5)

    def roughness(softness):
        ascent = Ascent(rule="sign", step_size=0.05, noise=1, softness=softness)
        return from_levels(climb(network, grey, [0], ascent, steps=2)).diff().abs().mean()

    assert roughness(2) < roughness(0) / 2
    expected = softened(grain[:1].view(1, 1, 8, 8), torch.tensor([2.0]))
    place = torch.arange(8.0)
    weight = torch.exp(-((place[:, None] - place) ** 2) / 8)
    weight /= weight.sum(1, keepdim=True)
    torch.testing.assert_close(expected[0, 0], weight @ grain[0].view(8, 8) @ weight.T)


def test_no_image_stops_early(bands):
    levels = climb(bands, START, range(4), Ascent(), steps=30)
    reached = confidence_of(logits_of(bands, from_levels(levels)), torch.arange(4))
    assert torch.allclose(reached, torch.full((4,), bands.summit), atol=0.01)


def test_without_steps_images_are_only_rounded(bands):
    before = START.clone()
    assert torch.equal(climb(bands, START, range(4), Ascent(), steps=0), to_levels(START))
    climb(bands, START, range(4), Ascent(), steps=2)
    assert torch.equal(START, before)


def test_a_schedule_goes_on_where_an_earlier_call_left_off(bands):
    ascent = Ascent(rule="sign", momentum=0, step_size=8 / 255, schedule=Schedule(steps=8))
    whole = climb(bands, START, range(4), ascent, steps=8)
    part = climb(bands, START, range(4), ascent, steps=3)
    begun = torch.full((4,), 3)
    rest = climb(bands, from_levels(part), range(4), ascent, steps=5, begun=begun)
    assert (whole.int() - rest.int()).abs().max() <= 1  # rounded on the way
    assert not torch.equal(whole, part)


class Listener(Bands):
    """Notes how much noise it is told there is."""

    hears_noise = True

    def __init__(self):
        super().__init__()
        self.heard = []

    def __deepcopy__(self, memo):
        return self

    def forward(self, images, noise=None):
        if noise is not None:
            self.heard.append(noise.tolist())
        return super().forward(images)


def test_a_network_that_hears_noise_is_told_of_it():
    network, ascent = Listener(), Ascent(noise=0.4, schedule=Schedule(steps=4))
    climb(network, START[:2], [0, 1], ascent, steps=2, begun=torch.tensor([0, 1]))
    expected = [[0.4, 0.3], [0.3, 0.2]]
    assert [[round(v, 3) for v in step] for step in network.heard] == expected


def test_images_in_noise_are_kept_apart(bands):
    ascent = Ascent(noise=0.3)
    alone = climb(bands, START[:2], [1, 2], ascent, steps=5)
    among = climb(bands, START, [1, 2, 3, 0], ascent, steps=5)
    assert torch.equal(alone, among[:2])


def test_a_frozen_copy_does_the_work_itself(bands):
    frozen = FrozenCopy(bands, START[:1])
    expected = climb(bands, START, range(4), Ascent(), steps=3)
    with torch.no_grad():
        bands.weight.zero_()
    assert torch.equal(climb(frozen, START, range(4), Ascent(), steps=3), expected)


def test_other_bounds_and_objectives():
    wide = Bands(bounds=(-1, 3))
    levels = climb(
        wide, START * 4 - 1, range(4), Ascent(), steps=3, objective="margin", bounds=(-1, 3)
    )
    plain = climb(Bands(), START, range(4), Ascent(), steps=3, objective="margin")
    assert (levels.int() - plain.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"begun": torch.tensor([1])}, "begun: expected 2 step counts from 0 up"),
        ({"begun": torch.tensor([0, -1])}, "begun: expected 2 step counts from 0 up"),
        ({"begun": torch.rand(2)}, "begun: expected 2 step counts from 0 up"),
        ({"begun": 3}, "begun: expected a tensor, got 3"),
        ({"targets": [0, 4]}, "targets: expected classes 0 to 3 of the model's 4, got 4"),
        ({"images": START}, r"images: expected float images \(N, C, H, W\) with N = 1 or 2"),
        ({"images": START[:2] + 1}, "images: expected pixels within 0 to 1"),
        ({"images": [0.5]}, "images: expected float images"),
        ({"steps": -1}, "steps: expected a whole number of at least 0, got -1"),
        ({"seed": -1}, "seed: expected a whole number from 0 to"),
        ({"ascent": "sign"}, "ascent: expected an Ascent, got 'sign'"),
    ],
)
def test_bad_input(bands, options, message):
    given = {"images": START[:2], "targets": [0, 1], "ascent": Ascent(), "steps": 1} | options
    with pytest.raises(InputError, match=message):
        climb(bands, **given)
