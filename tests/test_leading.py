"""Teaching a network where its gradient should lead."""

import pytest
import torch
from torch import Generator, nn

from deceive import Split
from deceive.fooling.ascent import Ascent, Schedule
from deceive.teaching.emerging import Emerging
from deceive.teaching.leading import slope_on_the_way
from worlds.quarters import quarters_data
from worlds.rounds import SMALL

LEFT, RIGHT = torch.zeros(2, 1, 4, 4).unbind()
LEFT[..., :2], RIGHT[..., 2:] = 0.9, 0.9
DIGITS = Split(torch.stack([LEFT, RIGHT]), torch.tensor([0, 1]))
ASCENT = Ascent(rule="normalised", noise=0.3, schedule=Schedule(steps=6))


class Pulling(nn.Module):
    """Certain of rubbish, whose gradient leads to each class's image, or away from it."""

    def __init__(self, strength):
        super().__init__()
        self.images = nn.Parameter(strength * torch.stack([LEFT, RIGHT]).flatten(1))

    def forward(self, images, sigma):
        rubbish = torch.full((len(images), 1), 1000.0)
        return torch.cat([images.flatten(1) @ self.images.T, rubbish], 1)


def slope(network, start="blank", ascent=ASCENT):
    return slope_on_the_way(network, DIGITS, ascent, start, 8, Generator().manual_seed(0))


def off(network, **how):
    return slope(network, **how).astray


def test_a_gradient_that_leads_to_the_real_image_is_not_astray(monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    assert off(Pulling(1)).item() == pytest.approx(0, abs=1e-6)
    assert off(Pulling(3)).item() == pytest.approx(0, abs=1e-6)
    assert off(Pulling(1), start="uniform").item() > 0.1
    soft = ASCENT.model_copy(update={"softness": 5})
    assert 0.01 < off(Pulling(1), ascent=soft).item() < 1


def test_pixels_that_a_bound_holds_back_do_not_count(monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    first = ASCENT.model_copy(update={"schedule": Schedule(steps=1)})
    assert off(Pulling(-1), ascent=first).item() == pytest.approx(1)  # none is left
    assert off(Pulling(-1)).item() > 1


def test_the_penalty_teaches_where_to_go():
    network = Pulling(0.1)
    with torch.no_grad():
        network.images += 0.1 * torch.randn(2, 16, generator=Generator().manual_seed(1))
    before = off(network)
    before.backward()
    with torch.no_grad():
        network.images -= 0.1 * network.images.grad
    assert off(network) < before - 0.05


def test_the_steepness_is_that_of_the_same_gradient(monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    assert slope(Pulling(3)).steepness.item() == pytest.approx(
        9 * slope(Pulling(1)).steepness.item()
    )


def gradients(leading, number):
    """The size of the network's gradient after the penalties of a round."""
    settings = SMALL.model_copy(update={"leading": leading, "candidates": 15})
    kind = Emerging(quarters_data(), settings, Generator().manual_seed(0))
    digits = kind.data.train
    kind.penalise(digits.images[:15], digits.labels[:15], torch.ones(15), number)
    found = [each.grad for each in kind.network.parameters() if each.grad is not None]
    return sum(each.square().sum().item() for each in found)


def test_rounds_are_led_if_that_is_asked_for_in_every_other_round():
    assert gradients(1.0, 1) == 0
    assert gradients(2.0, 2) > gradients(1.0, 2) > gradients(1e-3, 2) > 0
    assert gradients(0.0, 2) == 0  # smoothed, in every fourth
    assert gradients(0.0, 4) > 0
