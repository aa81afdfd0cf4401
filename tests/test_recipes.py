import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from deceive.cli.commands import parse
from deceive.data.again import data_flags
from deceive.data.dataset import Dataset, Split
from deceive.data.loading import load_data
from deceive.data.preparation import Preparation
from deceive.networks.architectures import ARCHITECTURES
from deceive.storage.models import load_card
from deceive.training.recipes import RECIPES, build, train
from worlds.commands import run


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
    assert asked.data == data.folder
    assert card.settings["adversarial_radius"] == radius
    assert card.temperature == 1


def test_the_card_of_a_network_for_ones_own_images_reads_them_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 6), np.uint8)
    np.savez("my pictures.npz", images=images, labels=np.arange(60) % 3)
    line = ["train", "--data", "my pictures.npz", "--size", "8x12", "--epochs", "1"]
    assert run(capsys, *line, "--batch-size", "8", "--out", "mine.safetensors")[0] == 0
    card = load_card("mine.safetensors")
    assert "--data 'my pictures.npz' --size 8x12 --epochs 1" in card.command
    read = parse(shlex.split(card.command)[1:]).load()
    assert (read.checksum, read.image_shape) == (card.data_checksum, card.image_shape)


def test_the_command_of_a_network_for_mnist_names_no_data():
    digits = load_data(preparation=Preparation(size=(14, 14)))
    assert data_flags(digits) == ["--size", "14x14"]
    assert data_flags(digits.first(100)) == ["--size", "14x14"]
    assert data_flags(load_data(digits.folder)) == []
