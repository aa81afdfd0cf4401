"""Networks behind a guard, and their files."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from deceive.common.errors import InputError
from deceive.networks.building import network_of
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded, guard_of, opinion_of_both
from deceive.networks.inference import logits_of
from deceive.storage.card import Card
from deceive.storage.models import load_network, save_network
from worlds.records import CARD

SHAPE = (1, 8, 8)


def reader(seed: int) -> nn.Module:
    """Not one of ours."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))


@pytest.fixture
def guard() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Classifier("guard", 5, SHAPE).eval()
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.2)
    return network


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(50, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_readers_only_take_away(guard, images):
    network, doubt = Guarded(guard, [reader(1), reader(2)], doubt=0.02), 0.02
    whole, without = logits_of(network, images), logits_of(guard, images)
    assert (whole[:, :4] - whole[:, 4:] < without[:, :4] - without[:, 4:]).all()
    difference = (whole - without)[:, :4]
    p, q = (each(images).softmax(1) for each in network.readers)
    together = p * q / (p * q).sum(1, keepdim=True)
    torch.testing.assert_close(difference.exp(), (1 - doubt) * together + doubt / 4)
    assert torch.equal(whole[:, 4], without[:, 4])


def test_logarithms_of_probabilities_are_as_good_as_logits(guard, images):
    plain = Guarded(guard, [reader(1)])
    squashed = Guarded(guard, [nn.Sequential(reader(1), nn.LogSoftmax(1))])
    torch.testing.assert_close(squashed(images), plain(images))


def test_the_guard_is_part_of_it(guard, images):
    network = Guarded(guard, [reader(1)])
    assert guard_of(network) is guard_of(guard) is guard
    assert (network.image_shape, network.n_outputs) == (SHAPE, 5)
    assert network.features(images).shape == (50, network.num_features)
    assert torch.equal(network.features(images), guard.features(images))


@pytest.mark.parametrize("architecture", ["guard", "draw"])
def test_an_image_is_asked_about_in_several_places(architecture):
    guard = Classifier(architecture, 5, (2, 9, 12))
    for parameter in guard.parameters():
        nn.init.normal_(parameter, std=0.1)
    readers = [Classifier("reader", 4, (2, 9, 12)).eval()]
    once, twice = Guarded(guard, readers), Guarded(guard, readers, shifts=((0, 0), (-2, 1)))
    images, noise = torch.rand(4, 2, 9, 12, requires_grad=True), torch.rand(4)
    up_right = torch.zeros(4, 2, 9, 12)
    up_right[:, :, :-2, 1:] = images[:, :, 2:, :-1]
    asked = twice(images, noise)
    torch.testing.assert_close(asked, (once(images, noise) + once(up_right, noise)) / 2)
    (gradient,) = torch.autograd.grad(asked.sum(), images)
    assert (gradient != 0).all()
    assert twice.hears_noise == (architecture == "draw")
    assert torch.equal(twice(images), asked) == (not twice.hears_noise)


def test_bad_input(guard, images):
    for wrong, said in (
        (
            {"guard": nn.Identity()},
            "guard: expected a Classifier or a Guarded network, got Identity",
        ),
        ({"guard": Classifier("guard", 2, SHAPE)}, "guard.n_outputs: expected .* at least 3"),
        ({"readers": nn.Identity()}, "readers: expected a list of torch.nn.Modules, got Identity"),
        ({"readers": [1]}, "readers: expected a torch.nn.Module, got 1"),
        ({"shifts": 1}, "shifts: expected pairs of whole numbers, got 1"),
        ({"shifts": [(1, 0.5)]}, "shifts: expected a whole number, got 0.5"),
        ({"readers": []}, "readers: expected at least one, got none"),
        ({"doubt": 0}, "doubt: expected a number above 0 and below 1, got 0"),
    ):
        with pytest.raises(InputError, match=said):
            Guarded(**{"guard": guard, "readers": [reader(1)]} | wrong)
    for wrong in (nn.Sequential(nn.Flatten(), nn.Linear(64, 1)), Classifier("fast", 5, SHAPE)):
        with pytest.raises(InputError, match=r"readers: expected logits \(50, 4\), got"):
            Guarded(guard, [wrong])(images)


RESIST = {"architecture": "resist", "n_outputs": 5, "image_shape": SHAPE, "rubbish_class": 4}


def saved(path):
    network = network_of("resist", 5, SHAPE).eval()
    save_network(network, path, Card.model_validate(CARD.model_dump() | RESIST))
    return network


def test_a_network_comes_back_as_it_was(tmp_path, images):
    path = tmp_path / "mine.safetensors"
    network = saved(path)
    again = load_network(path)
    assert torch.equal(again(images), network(images))
    assert again.architecture == "resist"


@pytest.mark.parametrize("half", [False, True])
def test_files_from_before_the_guard_had_a_name_are_read(tmp_path, images, half):
    path = tmp_path / "mine.safetensors"
    network = saved(path)
    state = {name.removeprefix("guard."): tensor for name, tensor in load_file(path).items()}
    assert {"doubt", "mean", "head.bias", "readers.0.head.bias"} < state.keys()
    save_file(
        {k: v.half() if half and v.is_floating_point() else v for k, v in state.items()}, path
    )
    card = json.loads(path.with_suffix(".json").read_text())
    card["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))
    expected = network.half().float() if half else network
    assert torch.equal(load_network(path)(images), expected(images))


def test_a_doubted_guard_leaves_the_class_to_the_readers(guard, images):
    network = Guarded(guard, [reader(1)], doubt=1e-6, guard_doubt=0.999999)
    whole = network(images)
    assert torch.equal(whole[:, :4].argmax(1), reader(1)(images).argmax(1))
    said = guard(images)
    most = said[:, :4].amax(1) - said[:, 4]
    assert (whole[:, :4].logsumexp(1) - whole[:, 4] <= most + 1e-5).all()


def test_a_guard_without_a_say_in_the_class_settles_the_odds_of_all_together(guard, images):
    whole, said = Guarded(guard, [reader(1)], doubt=1e-6, guard_doubt=1)(images), guard(images)
    odds, shares = said[:, :4].logsumexp(1) - said[:, 4], reader(1)(images).softmax(1)
    torch.testing.assert_close(whole[:, :4].logsumexp(1) - whole[:, 4], odds)
    torch.testing.assert_close(whole[:, :4].softmax(1), shares, atol=1e-5, rtol=0)


@pytest.mark.parametrize("guard_doubt", [0.1, 0.5, 0.9])
def test_readers_that_contradict_a_doubted_guard_make_it_refuse(guard_doubt):
    sure = 15 * torch.eye(4)[[0, 0]]  # the guard: twice the first class, five above rubbish
    readers = 15 * torch.eye(4)[[0, 1]]
    classes = opinion_of_both(sure - 10, readers, 0.0005, guard_doubt)
    odds = classes.amax(1)
    assert torch.equal(classes.argmax(1), torch.tensor([0, 1]))
    assert odds[0] > 4.5
    assert odds[1] < -5


def test_a_detector_bounds_every_class(guard, images):
    detector = Classifier("fast", 2, SHAPE).eval()
    network = Guarded(guard, [reader(1)], detector=detector, shifts=((0, 0), (1, 1)))
    said = detector(images)
    odds = network(images)[:, :4] - network(images)[:, 4:]
    assert (odds <= said[:, :1] - said[:, 1:] + 1e-5).all()
    with pytest.raises(InputError, match="detector: expected a Classifier with 2 outputs, got 5"):
        Guarded(guard, [reader(1)], detector=guard)


def test_large_images_are_shown_to_the_guard_at_its_own_size(guard):
    big = nn.Sequential(nn.Flatten(), nn.Linear(32 * 24, 4))
    network = Guarded(guard, [big], shifts=((0, 0), (1, -1)), image_shape=(1, 32, 24))
    images = torch.rand(3, 1, 32, 24, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images).sum(), images)
    assert network.image_shape == (1, 32, 24)
    assert (gradient != 0).all()
