"""The contest of drawing: its rivals, on images with a bright quarter, and its table."""

import json
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from benchmarks import table
from benchmarks.contests import drawing
from benchmarks.pictures import stripped
from benchmarks.rivals import RIVALS, Diffusion, DiscriminatorFlow, Jem, Vae, train
from torch import Generator, Tensor, nn

from deceive.common.errors import InputError
from deceive.data.dataset import Split
from worlds.contests import FACTS

pytestmark = pytest.mark.usefixtures("untouched_rng")

SHAPE, CLASSES = (1, 8, 8), 4


@pytest.fixture(scope="module")
def split():
    """Noise, with one quarter bright: the label."""
    generator = Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (512,), generator=generator)
    images = torch.rand(512, *SHAPE, generator=generator) * 0.5
    bright = F.one_hot(labels, 4).view(-1, 1, 2, 2).repeat_interleave(4, 2).repeat_interleave(4, 3)
    return Split(images + 0.5 * bright, labels)


# Of those that take many steps for one of training.
SHORT = {
    "Discriminator Flow": {"steps": 6},
    "JEM": {"steps": 4, "kept": 20, "drawn": 30},
}


def made(name, seed=0, **settings):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return RIVALS[name](SHAPE, CLASSES, **SHORT.get(name, {}), **settings)


def brightest(images):
    return F.avg_pool2d(images, 4).flatten(1).argmax(1)


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_learns_to_draw_what_it_is_asked_for(name, split):
    rival = made(name)
    wanted = torch.arange(CLASSES).repeat_interleave(25)
    before = (brightest(rival.sample(wanted, seed=1)) == wanted).float().mean()
    training = train(rival, split, 120, seed=0, clock=partial(next, count()))
    images = rival.sample(wanted, seed=1)
    after = (brightest(images) == wanted).float().mean()
    assert before < 0.6
    assert after > 0.9
    assert 100 < training.steps <= 120
    assert training.images == rival.recipe.batch * training.steps  # whole batches, all of them
    assert not training.restarts
    assert not rival.training


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_a_sample_is_of_its_seed_and_in_range(name):
    rival, labels = made(name), torch.tensor([0, 1, 3])
    images = rival.sample(labels, seed=5)
    assert images.shape == (3, *SHAPE)
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(images, rival.sample(labels, seed=5))
    assert not torch.equal(images, rival.sample(labels, seed=6))
    assert rival.training  # as it was


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_sides_that_do_not_fold_are_refused(name):
    with pytest.raises(InputError, match="multiples of 4, got"):
        RIVALS[name]((1, 10, 8), 4)


def test_the_sampler_finds_the_image_that_every_velocity_leads_to(monkeypatch):
    """If the network always knows the way to one image, that is where sampling ends."""
    image = torch.rand(1, *SHAPE, generator=Generator().manual_seed(2))
    diffusion = made("diffusion")

    def exact(x, t, labels):
        angle = (t * torch.pi / 2)[:, None, None, None]
        clean = 2 * image - 1
        noise = (x - angle.cos() * clean) / angle.sin()
        return angle.cos() * noise - angle.sin() * clean

    monkeypatch.setattr(diffusion, "velocity", exact)
    drawn = diffusion.sample(torch.tensor([0, 2]), seed=0)
    assert torch.allclose(drawn, image.expand(2, -1, -1, -1), atol=1e-4)


def test_the_untrained_diffusion_model_errs_by_the_size_of_the_velocity(split):
    """It says 0 everywhere, so its loss is the mean square of v, between an image's and 1."""
    diffusion = made("diffusion")
    assert isinstance(diffusion, Diffusion)
    loss = diffusion.loss(split.images, split.labels, Generator().manual_seed(0)).item()
    of_image = (2 * split.images - 1).square().mean().item()
    assert loss == pytest.approx((1 + of_image) / 2, rel=0.02)


def test_the_loss_of_the_vae_is_the_bound(split):
    vae = made("VAE")
    assert isinstance(vae, Vae)
    images, labels = split.images[:7], split.labels[:7]
    loss = vae.loss(images, labels, Generator().manual_seed(3)).item()
    mean, log_variance = vae.encode(images, labels)
    spread = (log_variance / 2).exp()
    code = mean + spread * torch.randn(mean.shape, generator=Generator().manual_seed(3))
    posterior = torch.distributions.Normal(mean, spread)
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    divergence = torch.distributions.kl_divergence(posterior, prior).sum()
    p = vae.decode(code, labels).sigmoid()
    nats = -(images * p.log() + (1 - images) * (1 - p).log()).sum() + divergence
    assert loss == pytest.approx(nats.item() / images.numel(), rel=1e-4)


class Weighted(nn.Module):
    """Says of images how much they are like one pattern; for every class the same."""

    def __init__(self, outputs):
        super().__init__()
        weight = torch.linspace(-1, 1, 64).view(1, 64) / 64
        self.weight = nn.Parameter(weight.repeat(outputs, 1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return F.linear(x.flatten(1), self.weight)


def test_particles_follow_the_gradient_of_the_discriminator(monkeypatch):
    """If it is the same everywhere, all go the same way."""
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    flow = made("Discriminator Flow", rate=0.05)
    assert isinstance(flow, DiscriminatorFlow)
    flow.body = Weighted(1)
    start = flow._noise(2, Generator().manual_seed(4))
    ends = start + flow.steps * 2 * flow.penalty * 0.05 * flow.body.weight.view(SHAPE)
    drawn = flow.sample(torch.tensor([0, 2]), seed=4)
    assert torch.allclose(drawn, ((ends + 1) / 2).clamp(0, 1), atol=1e-5)


def test_the_loss_of_the_flow_is_a_difference_and_a_penalty(split):
    flow = made("Discriminator Flow")
    assert isinstance(flow, DiscriminatorFlow)
    flow.body = Weighted(1)
    images, labels = split.images[:6], split.labels[:6]
    way = torch.full((flow.steps, 6, *SHAPE), 0.25)
    weight = flow.body.weight.view(SHAPE)
    loss = flow.loss(images, labels, way, Generator().manual_seed(0)).item()
    difference = (weight * (0.25 - (2 * images - 1).mean(0))).sum()
    expected = difference + flow.penalty * weight.square().sum()
    assert loss == pytest.approx(expected.item(), rel=1e-4)


def test_chains_begin_like_the_images_of_their_class(split):
    jem = made("JEM")
    assert isinstance(jem, Jem)
    jem.objective(split, Generator().manual_seed(0))
    starts = jem.starts.draw(torch.full((4000,), 2), Generator().manual_seed(1))
    own = 2 * split.images[split.labels == 2] - 1
    assert torch.allclose(starts.mean(0), own.mean(0), atol=0.05)
    assert torch.allclose(starts.std(0), own.std(0), atol=0.05)


def test_chains_climb_their_classs_logit(monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    jem = made("JEM", rate=3.0, noise=0.0)
    assert isinstance(jem, Jem)
    jem.body = Weighted(CLASSES)
    start = jem.starts.draw(torch.tensor([0, 2]), Generator().manual_seed(4))
    ends = (start + jem.drawn * 3 * jem.body.weight[0].view(SHAPE)).clamp(-1, 1)
    drawn = jem.sample(torch.tensor([0, 2]), seed=4)
    assert torch.allclose(drawn, (ends + 1) / 2, atol=1e-5)


def test_the_loss_of_jem_contrasts_real_and_drawn(split):
    jem = made("JEM", blur=0.0, cost=0.1)
    assert isinstance(jem, Jem)
    images, labels = split.images[:7], split.labels[:7]
    drawn = torch.rand(7, *SHAPE, generator=Generator().manual_seed(1))
    loss = jem.loss(images, labels, drawn, Generator().manual_seed(0)).item()
    real, made_up = jem.logits(2 * images - 1), jem.logits(drawn)
    likely, of_drawn = real.exp().sum(1).log(), made_up.exp().sum(1).log()
    right = -real.softmax(1)[torch.arange(7), labels].log().mean()
    energies = 0.1 * (likely.square().mean() + of_drawn.square().mean())
    expected = right + of_drawn.mean() - likely.mean() + energies
    assert loss == pytest.approx(expected.item(), rel=1e-4)


def test_jem_reads_with_what_it_draws_with(split):
    jem = made("JEM")
    reader = jem.reader()
    assert reader is not None
    assert torch.equal(reader(split.images[:5]), jem.body(2 * split.images[:5] - 1))
    assert made("diffusion").reader() is None


@pytest.mark.parametrize("bad", [float("nan"), 1e9])
def test_a_training_that_diverges_goes_back(bad, split, monkeypatch):
    """It goes back once, begins with a new buffer, and ends with usable weights."""
    jem = made("JEM")
    buffers, losses = count(), count()
    own_objective, own_loss = jem.objective, jem.loss

    def objective(*arguments):
        next(buffers)
        return own_objective(*arguments)

    def loss(*arguments):
        value = own_loss(*arguments)
        return value + bad if next(losses) == 5 else value

    monkeypatch.setattr(jem, "objective", objective)
    monkeypatch.setattr(jem, "loss", loss)
    training = train(jem, split, 8, seed=0, clock=partial(next, count()))
    assert training.restarts == 1
    assert next(buffers) == 2
    assert all(parameter.isfinite().all() for parameter in jem.parameters())


def test_table_and_pictures_are_made_of_rows_alone(tmp_path):
    strip = stripped(np.zeros((4, 1, 8, 8), np.uint8))
    same = {
        "parameters": 1234,
        "judge_agreement": 0.5,
        "density": 0.8,
        "coverage": 0.7,
        "classification_accuracy_score": 0.9,
        "nearest_median": 4.0,
        "nearest_first_percentile": 2.0,
        "images_per_second": 80.0,
        "images": 100,
        "floor_frechet_distance": 1.5,
        "floor_density": 1.0,
        "floor_coverage": 0.95,
        "held_out_nearest_median": 4.4,
        "held_out_nearest_first_percentile": 2.1,
    }
    rows = [
        same
        | {"contestant": name, "minutes": minutes, "seed": seed, "seconds": 60 * minutes}
        | {"frechet_distance": 10 * minutes + seed, "shown": strip}
        | ({"clock": "processor", "test_accuracy": 0.991} if name == "JEM" else {})
        | ({"measured": f"2026-11-{27 + seed % 2}"} if name == "JEM" else {})
        for seed in (0, 1, 2)
        for minutes in (2, 5)
        for name in ("rounds", "VAE", "diffusion", "Discriminator Flow", "JEM")
    ]
    result = {"facts": FACTS, "plan": {"seeds": 3}, "rows": rows}
    (tmp_path / "drawing.json").write_text(json.dumps(result))
    text = table.make(tmp_path, pictures=tmp_path)
    assert "| 5 | VAE | 1,234 | 3 | wall |  | 300 | 51 (50–52) | 50% | 0.8 | 0.7 | 90% |" in text
    assert "| 5 | JEM | 1,234 | 3 | processor | 2026-11-27, 2026-11-28 | 300 | 51 (50–52) |" in text
    assert "| 80 |  | 99.1% |" in text
    assert "| real images |  |  |  |  |  | 1.5 |" in text
    for picture in ("quality-against-time.png", "drawn-side-by-side.png"):
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_only_rounds_in_which_images_emerge_take_part():
    plan = replace(drawing.QUICK, preset="resist")
    with pytest.raises(InputError, match="--preset: expected one of draw, paint; got 'resist'"):
        next(drawing.run(plan))
