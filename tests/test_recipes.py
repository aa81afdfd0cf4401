import shlex
from pathlib import Path

import pytest
import torch

from deceive.cli.commands import parse
from deceive.data.dataset import Dataset, Split
from deceive.networks.architectures import ARCHITECTURES
from deceive.training.recipes import RECIPES, build, train


def weights(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


@pytest.fixture
def data():
    images = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.arange(40) % 10)
    return Dataset(split, split, split, 10, "noise", Path("nowhere"))


def test_every_recipe_is_of_an_architecture(data):
    for recipe in RECIPES:
        assert build(recipe, data, seed=0).architecture in ARCHITECTURES


@pytest.mark.parametrize(
    ("recipe", "plainly", "radius", "norm"),
    [("adversarial", "fast", 0.3, "pixel"), ("robust", "sharp", 1, "image")],
)
def test_the_same_network_on_images_that_were_moved(data, recipe, plainly, radius, norm):
    settings = RECIPES[recipe]
    assert (settings.adversarial_radius, settings.adversarial_norm) == (radius, norm)
    untrained = [build(name, data, seed=1) for name in (recipe, plainly)]
    assert torch.equal(*map(weights, untrained))
    short = settings.model_copy(update={"epochs": 1, "batch_size": 20, "label_smoothing": 0})
    network, card = train(recipe, data, seed=1, settings=short)
    plain = short.model_copy(update={"adversarial_radius": 0})
    unmoved, _ = train(plainly, data, seed=1, settings=plain)
    assert not torch.equal(weights(network), weights(unmoved))
    assert card.architecture == plainly
    program, *words = shlex.split(card.command)
    assert program == "deceive"
    asked = parse(words)
    assert (asked.recipe, asked.seed, asked.settings) == (recipe, 1, short)
    assert card.settings["adversarial_radius"] == radius
    assert card.temperature == 1
