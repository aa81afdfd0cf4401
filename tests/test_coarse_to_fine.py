import math

import pytest
import torch
from torch import nn

from conftest import Bands
from deceive import Classifier, CoarseToFine, InputError, export_onnx, fool
from deceive.networks import coarse_to_fine
from deceive.networks.coarse_to_fine import LEVELS

SHAPE = (1, 8, 8)


def hearing(n_outputs, shape):
    """A network whose answers depend on the noise it is told of: untrained ones pass over it."""
    network = Classifier("draw", n_outputs, shape)
    nn.init.normal_(network.get_parameter("body.noise.2.weight"), std=0.5)
    return network


@pytest.fixture
def network():
    torch.manual_seed(0)
    return CoarseToFine(hearing(3, SHAPE), Classifier("guard", 3, SHAPE)).eval()


def test_an_image_alone_gets_the_answer_that_it_gets_in_company(network):
    images = torch.rand(5, *SHAPE)
    together = network(images)
    assert together.shape == (5, 3)
    for each, answer in zip(images, together, strict=True):
        torch.testing.assert_close(network(each[None])[0], answer)


def test_the_noise_is_the_images_own(network):
    images = torch.rand(4, *SHAPE)
    noise = network._noise(images, 0)
    flat = noise.flatten(2)
    torch.testing.assert_close(flat.mean(2), torch.zeros(flat.shape[:2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(2), torch.ones(flat.shape[:2]))
    assert torch.equal(network._noise(images[:1], 0), noise[:, :1])
    assert not torch.allclose(noise[:, 0], noise[:, 1])
    assert not torch.allclose(noise[0], noise[1])


def test_a_blank_image_has_a_finite_answer_and_gradient(network):
    images = torch.full((2, *SHAPE), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images).sum(), images)
    assert network(images).isfinite().all()
    assert gradient.isfinite().all()


def test_where_noise_is_told_it_is_the_network_that_draws(network):
    images, noise = torch.rand(3, *SHAPE), torch.tensor([0.1, 0.5, 1.0])
    assert torch.equal(network(images, noise), network.drawing(images, noise))
    assert torch.equal(network(images, torch.zeros(3)), network(images))
    some = network(images, torch.tensor([0.1, 0.0, 0.0]))
    torch.testing.assert_close(some[0], network.drawing(images, noise)[0])
    torch.testing.assert_close(some[1:], network(images)[1:])


def test_another_network_may_draw_and_one_may_read():
    torch.manual_seed(0)
    parts = hearing(3, SHAPE), Classifier("guard", 3, SHAPE)
    reader, drawing = Classifier("fast", 2, SHAPE), hearing(3, SHAPE)
    plain, whole = CoarseToFine(*parts), CoarseToFine(*parts, reader, drawing).eval()
    images, labels = torch.rand(200, *SHAPE), torch.arange(200) % 2
    told = torch.full((200,), 0.5)
    assert torch.equal(whole(images, told), drawing(images, told))
    assert not torch.equal(whole(images, told), plain(images, told))
    for network in (plain, whole):
        network.calibrate(images, labels)
    # With votes enough the reader gives another class the difference D.
    seen = plain.eval()(images)[0, :2].argmax()
    reader.head.bias.data[1 - seen] = 1000
    before, after = (network(images)[0, :2] for network in (plain, whole))
    change = (after[1 - seen] - after[seen]) - (before[1 - seen] - before[seen])
    disputed, _ = coarse_to_fine._STRICT
    assert disputed < change <= 2 * disputed + 1e-3


def test_it_can_be_exported(monkeypatch, tmp_path):
    """Which checks that ONNX Runtime agrees with torch."""
    monkeypatch.setattr(coarse_to_fine, "LEVELS", (1.0, 0.1))
    network = CoarseToFine(hearing(3, SHAPE), Classifier("fast", 3, SHAPE)).eval()
    export_onnx(network, tmp_path / "one.onnx", gradient=False)
    assert (tmp_path / "one.onnx").stat().st_size > 0


class Said(nn.Module):
    """Has these log-odds for the classes, whatever it is shown."""

    def __init__(self, *odds):
        super().__init__()
        self.odds, self.image_shape, self.n_outputs = odds, SHAPE, 3

    def forward(self, images):
        return torch.tensor([*self.odds, 0.0]).expand(len(images), -1)


def answer(network, monkeypatch, *levels):
    """What the classes get where the levels have these log-odds, the last without noise."""
    *noisy, last = levels
    network.resisting = Said(*last)
    network.usual[-1] = -20  # specks are no matter
    monkeypatch.setattr(network, "_in_noise", lambda images: list(torch.tensor([noisy]).unbind(1)))
    return network(torch.zeros(1, *SHAPE))[0].tolist()


def test_each_level_counts_and_finer_ones_wait_for_coarser(network, monkeypatch):
    content, against = [20.0, 20.0], [20.0, -300.0]
    few, disputed = [content] * len(LEVELS), coarse_to_fine._STRICT[0]
    # Each class has half of the votes.
    found = answer(network, monkeypatch, *few, content)
    assert found == pytest.approx([-disputed / 2, -disputed / 2, 0], abs=1e-3)
    # The level without noise counts against the second class, which loses its votes by that, and
    # isn't asked about specks.
    found = answer(network, monkeypatch, *few, against)
    assert found == pytest.approx([0, -300 - coarse_to_fine._WORST - disputed, 0], abs=1e-3)
    # The coarsest level counts, which has no vote, and no finer one is asked about the class.
    waiting = -300 - (len(LEVELS) + 1) * coarse_to_fine._WORST
    found = answer(network, monkeypatch, against, *few[1:], content)
    assert found == pytest.approx([-disputed / 2, waiting - disputed / 2, 0], abs=1e-3)
    found = answer(network, monkeypatch, against, *few[1:], against)
    assert found == pytest.approx([0, waiting - disputed, 0], abs=1e-3)


def test_a_vote_has_to_be_clear_except_in_the_rounds(network, monkeypatch):
    content = [[20.0, 20.0]] * len(LEVELS)
    leads, losses = (0.0, 10.0, 40.0, 200.0), {}
    for strict in (True, False):
        network.strict = strict
        losses[strict] = [
            -answer(network, monkeypatch, *content, [20.0 + lead, 20.0])[0] for lead in leads
        ]
    for lead, lost in zip(leads, losses[True], strict=True):
        assert lost == pytest.approx(96 / (1 + math.exp(lead / 6)), abs=1e-2)
    for lead, lost in zip(leads, losses[False], strict=True):
        assert lost == pytest.approx(24 / (1 + math.exp(lead)), abs=1e-2)


def test_calibrated_a_share_of_real_images_gets_the_confidence(network):
    images, labels = torch.rand(300, *SHAPE), torch.arange(300) % 2
    network.calibrate(images, labels, keep=0.4, confidence=0.6)
    confidence = network(images).softmax(1).gather(1, labels[:, None])
    share = (confidence >= 0.6).double().mean().item()
    assert 0.4 <= share < 0.42
    odds = network.log_odds(images)[:-1]  # at the last level many images are alike
    real = odds.gather(2, labels.expand(len(LEVELS) + 1, -1)[:, :, None])
    assert (real[:, :, 0] < network.usual[:-1, None]).double().mean(1).tolist() == pytest.approx(
        [0.3] * (len(LEVELS) + 1), abs=0.01
    )


def test_specks_count_and_go_out_one_by_one(network):
    images = torch.zeros(3, *SHAPE)
    images[1:, 0, 2:5, 2:5] = 0.9  # a stroke
    images[2, 0, 2, 1] = 0.3  # its edge
    images[2, 0, 6, 6] = 0.2  # two specks
    images[2, 0, 7, 7] = 0.5
    images.requires_grad_(True)
    clean = network.log_odds(images)[-1]
    assert clean[:2].tolist() == [[0, 0], [0, 0]]
    assert clean[2].tolist() == pytest.approx([-0.2 * 0.1 - 0.5 * 0.4] * 2)
    (gradient,) = torch.autograd.grad(clean[2].sum(), images)
    assert (gradient <= 0).all()
    assert (gradient[2, 0, 6:, 6:] < 0).all()
    assert gradient[2, 0, 1:6, 1:6].count_nonzero() == 0
    lone = torch.zeros(1, *SHAPE)
    lone[0, 0, 4, 4] = 1  # white, and all alone
    assert network.log_odds(lone)[-1, 0, 0].item() == pytest.approx(-0.6)
    network.usual[-1], network.spread[-1] = 0, 0.01
    with torch.no_grad():
        clean_logits, specked = network(images[1:])
        assert specked[0] < clean_logits[0]
        network.strict = False
        assert len(network.log_odds(images)) == len(LEVELS) + 1
        assert network(images[2:])[0, 0] > specked[0]


def test_an_empty_batch(network):
    assert network(torch.rand(0, *SHAPE)).shape == network(torch.rand(1, *SHAPE))[:0].shape


def test_images_of_another_shape(network):
    with pytest.raises(RuntimeError, match=r"of \(1, 8, 8\), got \(\d+, 3, 8, 8\)"):
        network(torch.rand(2, 3, 8, 8))


def test_bad_input():
    with pytest.raises(
        InputError, match="in_noise: expected a network that is told the noise, got"
    ):
        CoarseToFine(Classifier("guard", 3, SHAPE), Classifier("guard", 3, SHAPE))
    with pytest.raises(InputError, match=r"resisting: expected outputs and images \(3, \(1, 8, 8"):
        CoarseToFine(hearing(3, SHAPE), Classifier("guard", 4, SHAPE))
    with pytest.raises(InputError, match="in_noise: expected a Classifier"):
        CoarseToFine(Bands(), Classifier("guard", 3, SHAPE))
    network = CoarseToFine(hearing(3, SHAPE), Classifier("guard", 3, SHAPE))
    with pytest.raises(InputError, match=r"reading: expected outputs and images \(2, \(1, 8, 8"):
        CoarseToFine(hearing(3, SHAPE), Classifier("guard", 3, SHAPE), Classifier("fast", 3, SHAPE))
    with pytest.raises(InputError, match="drawing: expected a network that is told the noise, got"):
        CoarseToFine(*[hearing(3, SHAPE)] * 2, drawing=Classifier("guard", 3, SHAPE))
    with pytest.raises(InputError, match="resisting: expected a network of the rounds, got Seq"):
        CoarseToFine(hearing(3, SHAPE), nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    images, labels = torch.rand(200, *SHAPE), torch.arange(200) % 2
    for match, those, theirs, more in [
        ("keep: ", images, labels, {"keep": 1.5}),
        (r"len\(images\): expected a whole number of at least 100", images[:9], labels[:9], {}),
        ("labels: expected 200, one for each of the images, got 100", images, labels[:100], {}),
        ("labels: expected classes 0 to 1", images, labels + 1, {}),
        ("labels: expected whole numbers", images, labels.float(), {}),
        ("images: expected float images", images.byte(), labels, {}),
        (r"images: expected \(N, C, H, W\) of \(1, 8, 8\)", images.repeat(1, 3, 1, 1), labels, {}),
    ]:
        with pytest.raises(InputError, match=match):
            network.calibrate(those, theirs, **more)


@pytest.mark.shipped
def test_static_that_fools_it_is_handwriting():
    """Of the shipped `draw` and `resist`, from static, by `fool` as it is."""
    import deceive

    data = deceive.load_data()
    drawing, resisting = deceive.load_network("draw"), deceive.load_network("resist")
    network = CoarseToFine(drawing, resisting).eval()
    network.calibrate(data.validation.images[:1000], data.validation.labels[:1000])
    result = fool(network, range(10), count=2, seed=0, steps=100)
    judge = deceive.load_network("judge")
    assert result.fooled.all()
    assert deceive.agreement(judge, result.images, result.targets) >= 0.9
    fast = fool(deceive.load_network("fast"), range(10), count=2, seed=0)
    assert deceive.agreement(judge, fast.images, fast.targets) < 0.5
