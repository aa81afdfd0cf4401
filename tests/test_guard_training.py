"""A guard that is trained for any images: a mixture, and a network in rounds of its own."""

import shlex
from dataclasses import replace

import pytest
import torch
from torch.distributions import LowRankMultivariateNormal

from deceive.cli.commands import parse
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, Split
from deceive.guarding.shapes import fit_mixture
from deceive.guarding.training import train_guard
from deceive.networks.building import network_of
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded, expecting, guard_of
from deceive.networks.inference import logits_of
from deceive.networks.mixture import Mixture
from deceive.storage.models import load_network, save_network
from deceive.teaching.garbage import garbage_for
from worlds.quarters import SHAPE, quarters, quarters_data

NOISE = torch.rand(200, *SHAPE, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def mixture() -> Mixture:
    data, made = quarters_data(), Mixture(SHAPE, 4)
    fit_mixture(made, data.train, data.validation, seed=0)
    return made


def odds(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    logits = logits_of(network, images).double()
    return logits[:, :-1] - logits[:, -1:]


def test_a_component_is_a_gaussian_with_a_few_directions():
    made = Mixture((1, 2, 3), 2)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(20, 6, 12, generator=generator)
    variance = 0.1 + torch.rand(20, 6, generator=generator)
    made.mean.copy_(torch.rand(20, 6, generator=generator))
    made.root.copy_(variance.rsqrt())
    images = torch.rand(5, 1, 2, 3, generator=generator)
    for number in range(20):
        scaled = weights[number] / variance[number, :, None]
        inner = torch.linalg.inv(torch.eye(12) + weights[number].T @ scaled)
        made.directions[number] = (scaled @ torch.linalg.cholesky(inner)).T
    theirs = LowRankMultivariateNormal(made.mean, weights, variance)
    gap = theirs.log_prob(made.mean) - theirs.log_prob(images.flatten(1)[:, None])
    torch.testing.assert_close(made.distances(made.seen(images)), 2 * gap, rtol=1e-3, atol=1e-3)


def test_real_images_have_the_shape_of_their_class_and_noise_of_none(mixture):
    test = quarters(300, 7)
    said = mixture(test.images)
    assert (said.argmax(1) == test.labels).double().mean() > 0.97
    own = said.gather(1, test.labels[:, None])[:, 0]
    assert 0.9 < (own >= 1).double().mean() < 1
    assert (mixture(NOISE).amax(1) < own.quantile(0.1)).all()


def test_from_noise_its_gradient_leads_to_the_class(mixture):
    images, targets = NOISE[:40].clone(), torch.arange(40) % 4
    for _ in range(60):
        images.requires_grad_()
        likeness = mixture.likeness(images).gather(1, targets[:, None])
        (gradient,) = torch.autograd.grad(likeness.sum(), images)
        images = (images.detach() + 0.02 * gradient.sign()).clamp(0, 1)
    brightness = torch.nn.functional.avg_pool2d(images, 4).flatten(1)
    assert torch.equal(brightness.argmax(1), targets)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 48), (3, 7, 5), (1, 64, 64)])
def test_of_any_image_it_sees_no_more_than_a_thousand_values(shape):
    made = Mixture(shape, 10)
    assert made.seen(torch.rand(2, *shape)).shape == (2, made.mean.shape[1])
    assert made.mean.shape[1] <= 1024
    smooth, rough = torch.full((1, *shape), 0.5), torch.full((1, *shape), 0.5)
    rough[..., ::2] += 0.3
    rough[..., 1::2] -= 0.3
    assert (made.seen(smooth) - made.seen(rough)).abs().amax() > 0.2


def test_classes_of_a_handful_of_images_have_components_too():
    data = quarters_data()
    few, made = quarters(12, 0), Mixture(SHAPE, 4)
    fit_mixture(made, few, data.validation, seed=0)
    assert made(data.test.images).isfinite().all()


def test_the_odds_of_a_class_are_at_most_the_mixtures_and_the_guards(mixture):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guard = Classifier("guard", 5, SHAPE).eval()
    network = Guarded(guard, [], mixture=mixture)
    images = torch.cat([NOISE, quarters(100, 5).images])
    whole, alone, limit = odds(network, images), odds(guard, images), mixture(images).double()
    torch.testing.assert_close(
        (-whole).exp(), (-alone).exp() + (-limit).exp(), rtol=1e-3, atol=1e-4
    )
    with pytest.raises(InputError, match="expected one of 4 classes, got 3"):
        Guarded(guard, [], mixture=Mixture(SHAPE, 3))


def test_rubbish_can_be_expected_of_guard_and_mixture_alike():
    network = network_of("shaped", 5, SHAPE).eval()
    before = odds(network, NOISE)
    expecting(network, 1.5)
    torch.testing.assert_close(odds(network, NOISE), before - 1.5, rtol=1e-4, atol=1e-4)


def test_garbage_is_of_the_images_shape(mixture):
    real = torch.rand(20, 3, 12, 10)
    garbage = garbage_for(real, 300, torch.Generator().manual_seed(0))
    assert (garbage.dtype, garbage.shape[1:]) == (torch.uint8, (3, 12, 10))
    assert 250 < len(garbage) < 350


def test_training_makes_it_refuse_garbage_and_can_be_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("deceive.guarding.rounds._HEAP", 1000)
    data = replace(quarters_data(), folder=tmp_path / "quarters")
    network, card = train_guard(data, rounds=30, seed=0, tick=lambda *_: None)
    real, noise = odds(network, data.test.images), odds(network, NOISE)
    assert (noise.amax(1) < real.amax(1).quantile(0.1)).double().mean() > 0.95
    assert card.validation_accuracy > 0.95
    asked = parse(shlex.split(card.command)[1:])
    assert (asked.data, asked.train, asked.settings.rounds) == (data.folder, True, 30)
    save_network(network, tmp_path / "guard.safetensors", card, half=True)
    kept = load_network(tmp_path / "guard.safetensors")
    assert torch.equal(odds(kept, data.test.images), real)
    assert guard_of(kept).architecture == "guard"


def in_colour(data: Dataset) -> Dataset:
    """The same with a faint red and a strong blue."""
    parts = (
        Split(part.images * torch.tensor([0.5, 0.8, 1.0]).view(3, 1, 1), part.labels)
        for part in (data.train, data.validation, data.test)
    )
    return Dataset(*parts, n_classes=4, checksum="colour", folder=data.folder)


def test_in_colour_a_network_learns_alone_whether_an_image_is_real(tmp_path, monkeypatch):
    monkeypatch.setattr("deceive.guarding.rounds._HEAP", 1000)
    data = in_colour(replace(quarters_data(), folder=tmp_path / "quarters"))
    network, card = train_guard(data, rounds=60, seed=0, tick=lambda *_: None)
    assert (card.architecture, card.settings) == ("guard", {"rounds": 60, "any_class": 1})
    assert isinstance(network, Classifier)
    noise = torch.rand(200, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    real, noise = odds(network, data.test.images), odds(network, noise)
    assert (noise.logsumexp(1) < real.logsumexp(1).quantile(0.1)).double().mean() > 0.95


def test_in_colour_an_interrupted_training_goes_on_too(tmp_path, monkeypatch):
    monkeypatch.setattr("deceive.guarding.rounds._HEAP", 200)
    monkeypatch.setattr("deceive.guarding.training._EVERY", 0.0)
    data = in_colour(replace(quarters_data(), folder=tmp_path / "quarters"))
    whole, _ = train_guard(data, rounds=3, seed=0, tick=lambda *_: None)

    def interrupt(number, *_):
        if number == 2:
            raise KeyboardInterrupt

    kept = tmp_path / "guard.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        train_guard(data, rounds=3, seed=0, tick=interrupt, kept=kept)
    network, _ = train_guard(data, rounds=3, seed=0, tick=lambda *_: None, kept=kept)
    assert torch.equal(odds(network, data.test.images), odds(whole, data.test.images))


def test_garbage_in_colour_has_plain_greys_among_it():
    garbage = garbage_for(torch.rand(20, 3, 4, 4), 300, torch.Generator().manual_seed(0))
    plain = (garbage == garbage[:, :1, :1, :1]).flatten(1).all(1)
    assert plain.sum() > 10


def test_the_same_seed_makes_the_same_guard(tmp_path, monkeypatch):
    monkeypatch.setattr("deceive.guarding.rounds._HEAP", 200)
    data = replace(quarters_data(), folder=tmp_path / "quarters")
    first, again, other = (
        train_guard(data, rounds=3, seed=seed, tick=lambda *_: None)[0] for seed in (0, 0, 1)
    )
    assert torch.equal(odds(first, NOISE), odds(again, NOISE))
    assert not torch.equal(odds(first, NOISE), odds(other, NOISE))


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    monkeypatch.setattr("deceive.guarding.rounds._HEAP", 200)
    monkeypatch.setattr("deceive.guarding.training._EVERY", 0.0)
    data = replace(quarters_data(), folder=tmp_path / "quarters")
    kept = tmp_path / "guard.checkpoint"
    whole, _ = train_guard(data, rounds=4, seed=0, tick=lambda *_: None)
    ticks = []

    def interrupt(number, total, note):
        ticks.append(number)
        assert note.endswith("% of the rubbish caught")
        if number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_guard(data, rounds=4, seed=0, tick=interrupt, kept=kept)
    network, _ = train_guard(data, rounds=4, seed=0, tick=lambda n, *_: ticks.append(n), kept=kept)
    assert ticks == [1, 2, 3, 3, 4]
    assert torch.equal(odds(network, NOISE), odds(whole, NOISE))

    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    with pytest.raises(InputError, match="its tensors are not those that were saved"):
        train_guard(data, rounds=4, seed=0, tick=lambda *_: None, kept=kept)
    kept.write_bytes(b"nothing")
    with pytest.raises(InputError, match="delete it to start again"):
        train_guard(data, rounds=4, seed=0, tick=lambda *_: None, kept=kept)
