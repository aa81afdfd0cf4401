"""The detector: what it learns to refuse, how it is trained and scaled."""

import shlex
from pathlib import Path

import pytest
import torch
from torch import Generator

from deceive.certifying.core import certify, log_odds
from deceive.certifying.garbage import KINDS, OF_REAL
from deceive.certifying.settings import DetectorSettings
from deceive.certifying.training import PASSING, garbage_of, train_detector
from deceive.cli.commands import parse
from deceive.data.dataset import Dataset, Split
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded
from deceive.networks.inference import logits_of

SHAPE = (1, 8, 8)


def bars(n: int, seed: int) -> Split:
    """White bars on black (n, 1, 8, 8), somewhere, with their row as a label; a little grey."""
    generator = Generator().manual_seed(seed)
    rows, left = torch.randint(6, (2, n), generator=generator)
    images = 0.1 * torch.rand(n, *SHAPE, generator=generator)
    for image, row, column in zip(images, rows.tolist(), left.tolist(), strict=True):
        image[:, row : row + 2, column // 2 : column // 2 + 5] = 1
    return Split(images, rows)


def bars_data() -> Dataset:
    return Dataset(bars(500, 0), bars(200, 1), bars(200, 2), 6, "bars", Path())


SMALL = DetectorSettings(steps=120, batch_size=16, learning_rate=0.01, epsilon=0.1, garbage=300)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 14)])
@pytest.mark.parametrize("kind", [*KINDS, *OF_REAL])
def test_garbage_is_images_of_the_shape_and_its_generators_own(kind, shape):
    real = torch.rand(8, *shape, generator=Generator().manual_seed(3))

    def made(seed):
        generator = Generator().manual_seed(seed)
        return KINDS[kind](8, shape, generator) if kind in KINDS else OF_REAL[kind](real, generator)

    images = made(0)
    assert images.shape == (8, *shape)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, made(0))
    assert kind == "inverted" or not torch.equal(images, made(1))
    assert len(images.flatten(1).unique(dim=0)) == 8


def test_shuffled_and_patched_images_keep_their_pixels():
    real = torch.rand(6, 1, 14, 14, generator=Generator().manual_seed(3))
    for kind in ("shuffled", "patchwork"):
        made = OF_REAL[kind](real, Generator().manual_seed(0))
        torch.testing.assert_close(made.flatten().sort().values, real.flatten().sort().values)


def test_all_kinds_are_in_the_mixture_within_the_memory():
    images = torch.rand(50, 1, 8, 8)
    made = garbage_of(images, 500, Generator().manual_seed(0))
    assert made.dtype == torch.uint8
    assert abs(len(made) - 500) < 10
    huge = torch.rand(2, 3, 64, 64)
    assert len(garbage_of(huge, 50, Generator().manual_seed(0))) <= 55


@pytest.fixture(scope="module")
def trained():
    return train_detector(bars_data(), seed=0, settings=SMALL)


def test_it_passes_real_images_and_is_proved_to_refuse_garbage(trained):
    network, card = trained
    data = bars_data()
    logits = logits_of(network, data.validation.images)
    passing = ((logits[:, 0] - logits[:, 1]) >= PASSING).double().mean().item()
    assert 0.995 <= passing == card.validation_accuracy
    assert card.test_accuracy > 0.95
    static = torch.rand(50, *SHAPE, generator=Generator().manual_seed(1))
    guard, reader = Classifier("guard", 5, SHAPE), Classifier("reader", 4, SHAPE)
    assert certify(Guarded(guard, [reader], detector=network), static, 0.1).share > 0.9
    untrained = Classifier("detector", 2, SHAPE)
    assert (log_odds(network, static, 0.1).upper < PASSING).double().mean() > 0.9
    assert (log_odds(untrained, static, 0.1).upper > -1).all()


def test_the_same_seed_is_the_same_detector(trained):
    short = SMALL.model_copy(update={"steps": 5})
    one, other, third = (train_detector(bars_data(), seed=s, settings=short)[0] for s in (1, 1, 2))
    assert torch.equal(one.head.weight, other.head.weight)
    assert not torch.equal(one.head.weight, third.head.weight)


def test_its_card_says_how_to_make_it_again(trained):
    _, card = trained
    program, *words = shlex.split(card.command)
    asked = parse(words)
    assert (program, asked.recipe, asked.seed, asked.settings) == ("deceive", "detector", 0, SMALL)
    assert asked.data == bars_data().folder
    assert (card.architecture, card.n_outputs, card.data_checksum) == ("detector", 2, "bars")


def test_it_learns_from_images_and_not_from_labels():
    data, short = bars_data(), SMALL.model_copy(update={"steps": 3})
    blind = Split(data.train.images, torch.zeros_like(data.train.labels))
    other = data.__class__(**{**vars(data), "train": blind})
    one, two = (train_detector(each, settings=short)[0] for each in (data, other))
    assert torch.equal(one.head.weight, two.head.weight)
