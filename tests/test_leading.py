"""Teaching a network where its gradient should lead."""

import pytest
import torch
from torch import Generator, nn

from deceive import Split
from deceive.fooling.ascent import Ascent, Schedule
from deceive.teaching.emerging import Emerging
from deceive.teaching.leading import astray
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


def off(network, start="blank", ascent=ASCENT):
    return astray(network, DIGITS, ascent, start, 8, Generator().manual_seed(0))


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


def test_rounds_are_led_if_that_is_asked_for():
    led = SMALL.model_copy(update={"leading": 1.0, "candidates": 15})
    logits, chosen = torch.zeros(30, 5), torch.arange(15)
    labels = torch.cat([torch.arange(15) % 4, torch.full((15,), 4)])
    losses = []
    for settings in (led, led.model_copy(update={"leading": 0.0})):
        kind = Emerging(quarters_data(), settings, Generator().manual_seed(0))
        losses.append(kind.loss(logits, labels, chosen))
    assert losses[0].requires_grad
    assert not losses[1].requires_grad
    assert 0.1 < losses[0] - losses[1] < 2
