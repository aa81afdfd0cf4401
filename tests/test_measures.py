import pytest
import torch

from conftest import Bands, Restless, same_state, state_of
from deceive.judging.measures import agreement, caught, digit_accuracy, skill
from deceive.networks.inference import accuracy


@pytest.fixture
def images(bands):
    """One image for each of the four classes, which `bands` reads rightly."""
    return torch.cat([bands.best(k) for k in range(4)])


@pytest.mark.parametrize(
    ("targets", "share"),
    [([0, 1, 2, 3], 1.0), ([0, 1, 2, 0], 0.75), ([1, 1, 1, 1], 0.25), ([3, 0, 1, 2], 0.0)],
)
def test_agreement_is_the_share_of_targets_that_the_judge_sees(bands, images, targets, share):
    assert agreement(bands, images, torch.tensor(targets)) == share


@pytest.mark.parametrize(("rows", "share"), [([3, 3], 1.0), ([0, 3, 3, 1], 0.5), ([0, 1, 2], 0.0)])
def test_caught_is_the_share_that_is_taken_for_rubbish(bands, images, rows, share):
    assert caught(bands, images[rows], rubbish_class=3) == share


def test_digit_accuracy_leaves_rubbish_out(bands, images):
    labels = torch.arange(3)
    # All look most like rubbish, class 3, and next like their label.
    mixed = images[3] + 0.5 * images[:3]
    assert accuracy(bands, mixed, labels) == 0
    assert digit_accuracy(bands, mixed, labels, n_classes=3) == 1
    assert digit_accuracy(bands, mixed, labels.flip(0), n_classes=3) == pytest.approx(1 / 3)


def test_shares_are_exact_over_many_batches():
    images = torch.zeros(1203, 1, 4, 4)
    images[:401, :, 3] = 1
    assert caught(Bands(), images, rubbish_class=3) == 401 / 1203


def test_the_network_is_handed_back_as_it_was(images):
    model = Restless()
    before = state_of(model)
    model.calls -= 3  # it counts how often it is asked
    labels = torch.arange(4)
    agreement(model, images, labels)
    caught(model, images, 3)
    digit_accuracy(model, images, labels, 3)
    assert same_state(before, state_of(model))


def test_skill_is_what_is_better_than_guessing():
    assert skill(1.0, 10) == 1
    assert skill(0.1, 10) == 0
    assert skill(0.55, 10) == pytest.approx(0.5)
    assert skill(0.0, 2) == -1
