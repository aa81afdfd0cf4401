"""Rounds that teach the two networks of `one` together."""

from dataclasses import replace

import pytest
import torch

from deceive import Ascent, Classifier, Schedule
from deceive.networks.coarse_to_fine import CoarseToFine
from deceive.teaching import uniting
from deceive.teaching.uniting import Uniting
from worlds.quarters import SHAPE, quarters_data

ASCENT = Ascent(rule="sign", noise=1, schedule=Schedule(steps=3, least_noise=0.1))


@pytest.fixture
def data(tmp_path):
    return replace(quarters_data(), folder=tmp_path)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    less = {"_KEPT": 60, "_STATES": 30, "_GARBAGE": 200, "_CALIBRATING": 100}
    for name, value in (less | {"_RATE": 3e-3, "_WARM_UP": 1, "_AVERAGING": 0.5}).items():
        monkeypatch.setattr(uniting, name, value)


def untaught():
    torch.manual_seed(0)
    return CoarseToFine(Classifier("draw", 5, SHAPE), Classifier("guard", 5, SHAPE)).eval()


def taught(data, rounds, seed=0):
    game = Uniting(untaught(), data, ASCENT, count=rounds, seed=seed)
    while game.number < rounds:
        game.play()
    return game


def rubbish(network, images):
    """How probable rubbish is to both networks, in little noise and without."""
    told = torch.full((len(images),), 0.03)
    said = network.drawing(images, told), network.resisting(images)
    return [each.softmax(1)[:, -1].mean().item() for each in said]


def test_candidates_become_rubbish_to_both(data):
    game = taught(data, 8)
    images = game.candidates.images(torch.arange(60))
    before, after = rubbish(untaught(), images), rubbish(game.finished(), images)
    assert after[0] > before[0] + 0.1
    assert after[1] > before[1] + 0.1
    assert game.candidates.levels.float().std() > 20  # they are no longer what they began as


def test_the_same_seed_teaches_the_same(data):
    images = torch.rand(4, *SHAPE)
    first, again, other = (taught(data, 2, seed).finished()(images) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
