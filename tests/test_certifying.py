"""Bounds of what a network can say: true of everything in the box, and broken by a broken bound."""

import copy
import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deceive.auditing.garbage import GARBAGE, GarbageImages
from deceive.certifying import boxes
from deceive.certifying.boxes import Box, affine, ball, gamma
from deceive.certifying.core import certify, log_odds
from deceive.certifying.outputs import outputs_of
from deceive.certifying.rules import through
from deceive.common.errors import InputError
from deceive.data.loading import load_data
from deceive.networks.architectures import ARCHITECTURES
from deceive.networks.classifier import Classifier
from deceive.networks.guarded import Guarded
from deceive.storage.models import load_network

SHAPE = (1, 12, 12)


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def rand(*size, seed=0):
    return torch.rand(size, generator=torch.Generator().manual_seed(seed))


def lively(network: nn.Module, seed=1) -> nn.Module:
    """The network with large weights and odd batch statistics."""
    by = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.is_floating_point() and tensor.ndim:
                tensor.add_(torch.randn(tensor.shape, generator=by) * 0.1)
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_var.abs_().add_(0.01)
    return network.eval()


def near(images: Tensor, epsilon: float, count: int, seed=2) -> Tensor:
    """Many images within each ball, a third of them corners: (count, N, C, H, W)."""
    by = torch.Generator().manual_seed(seed)
    moves = torch.rand(count, *images.shape, generator=by) * 2 - 1
    moves[: count // 3].sign_()
    return (images + epsilon * moves).clamp(0, 1)


BOUNDED = [name for name in ARCHITECTURES if name not in ("draw", "paint", "sketch")]


@pytest.mark.parametrize("architecture", BOUNDED)
def test_no_image_in_the_ball_leaves_the_bounds(architecture):
    network = lively(seeded(lambda: Classifier(architecture, 3, SHAPE)))
    images, epsilon = rand(3, *SHAPE), 0.02
    with torch.no_grad():
        outputs = outputs_of(network, ball(images, epsilon))
    tried = near(images, epsilon, 300)
    with torch.no_grad():
        logits = network(tried.flatten(0, 1)).view(300, 3, 3).double()
    for chosen in range(3):
        apart = logits[..., chosen, None] - logits
        bound = outputs.apart(chosen)
        assert (apart >= bound.lower).all()
        assert (apart <= bound.upper).all()
    confidence = logits.softmax(2).amax(2)
    assert (confidence <= certify(network, images, epsilon).confidence).all()


def test_bounds_of_a_ball_of_nothing_are_the_answer():
    network = lively(seeded(lambda: Classifier("detector", 2, SHAPE)))
    images = rand(5, *SHAPE)
    said = network.double()(images.double()).detach()
    network.float()
    bound = log_odds(network, images, 0.0)
    exact = said[:, 0] - said[:, 1]
    assert (bound.lower < exact).all()
    assert (exact < bound.upper).all()
    assert (bound.upper - bound.lower).max() < 0.02  # the worst that float32 could round


def test_a_box_by_hand():
    # 3x - 2y + 1 for x in [0, 1] and y in [2, 4]: from -7 to 0; and -x: from -1 to 0.
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, -2.0], [-1.0, 0.0]]))
        layer.bias.copy_(torch.tensor([1.0, 0.0]))
    box = Box(torch.tensor([[0.0, 2.0]]).double(), torch.tensor([[1.0, 4.0]]).double())
    made = through(layer, box)
    expected = Box(torch.tensor([[-7.0, -1.0]]).double(), torch.tensor([[0.0, 0.0]]).double())
    for one, other, sign in zip(made, expected, (1, -1), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
        assert (sign * (other - one) > 0).all()  # rounded outwards
    rectified = through(nn.ReLU(), made)
    assert rectified.lower.tolist() == [[0.0, 0.0]]


def test_differences_are_bounded_together():
    """Both logits rise with the pixel; their difference doesn't, and nothing is lost."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[5.0], [5.0]]))
        network[1].bias.copy_(torch.tensor([0.25, 0.0]))
    proved = certify(network, torch.full((1, 1, 1, 1), 0.5), 0.5)
    assert proved.confidence.item() == pytest.approx(1 / (1 + math.exp(-0.25)), abs=1e-5)


def test_the_margin_holds_for_any_order_of_float32_sums():
    """Sums that cancel: their float32 rounding is larger than what they add up to."""
    count = 64
    weight = torch.randn(count, generator=torch.Generator().manual_seed(0)) * 1000
    x = rand(count, seed=1)
    exact = sum(Fraction(a) * Fraction(b) for a, b in zip(weight.tolist(), x.tolist(), strict=True))
    layer = nn.Linear(count, 1, bias=False)
    box = Box(x[None].double(), x[None].double())
    with torch.no_grad():
        layer.weight.copy_(weight[None])
    made = through(layer, box)
    worst = 0.0
    for seed in range(50):
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        total = torch.zeros(())
        for product in (weight * x)[order]:
            total = total + product
        assert made.lower.item() <= total.item() <= made.upper.item()
        worst = max(worst, abs(float(Fraction(total.item()) - exact)))
    assert 0 < worst < made.upper.item() - made.lower.item() < 1  # a margin, and a small one
    assert Fraction(made.lower.item()) < exact < Fraction(made.upper.item())


def test_the_margin_is_positive_and_tiny():
    assert 0 < gamma(1) < gamma(1000) < 1e-4
    lower, upper = ball(torch.full((1, 1, 1, 1), 0.5), 0.25)
    assert lower.item() < 0.25
    assert upper.item() > 0.75
    assert upper.item() - lower.item() < 0.5 + 1e-12
    assert ball(torch.zeros(1, 1, 1, 1), 0.3).lower.item() == 0


def climbed(network, images: Tensor, epsilon: float, steps: int, score) -> Tensor:
    """The greatest score (N,) that sign steps reach from random points and from corners."""
    best = torch.full((len(images),), -math.inf)
    low, high = (images - epsilon).clamp(0, 1), (images + epsilon).clamp(0, 1)
    for start in near(images, epsilon, 3, seed=5):
        x = start
        for step in range(steps):
            x = x.detach().requires_grad_(True)
            value = score(network, x)
            best = torch.maximum(best, value.detach())
            (gradient,) = torch.autograd.grad(value.sum(), x)
            size = epsilon * (1 - step / steps)
            x = torch.clamp(torch.minimum(torch.maximum(x + size * gradient.sign(), low), high), 0)
        best = torch.maximum(best, score(network, x).detach())
    return best


def odds(network, images):
    logits = network(images)
    return logits[:, 0] - logits[:, 1]


def sharp_detector() -> Classifier:
    return lively(seeded(lambda: Classifier("detector", 2, SHAPE)), seed=3)


def rising_detector() -> Classifier:
    """No weight but the last is below 0, so that interval bounds are exact."""
    network = seeded(lambda: Classifier("detector", 2, SHAPE)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
        network.head.weight[1].neg_()
    return network


def linear_detector() -> Classifier:
    network = Classifier("detector", 2, SHAPE).eval()
    network.body, network.head = nn.Flatten(), seeded(lambda: nn.Linear(144, 2))
    return network


@pytest.mark.parametrize("made", [sharp_detector, rising_detector, linear_detector])
def test_an_attack_stays_within_the_bounds_and_reaches_them_where_they_are_exact(made):
    network, images = made(), rand(40, *SHAPE)
    bound = log_odds(network, images, 0.05).upper
    found = climbed(network, images, 0.05, 10, odds).double()
    assert (found <= bound).all()
    if made is not sharp_detector:
        torch.testing.assert_close(found, bound, atol=1e-3, rtol=2e-4)


def signed(box, function, weight, bias, terms):
    """The rule of an affine map, with an `abs` forgotten."""
    made = affine(box, function, weight, bias, terms)
    off = function((box.upper - box.lower) / 2, weight.double(), None).abs()
    middle = (made.lower + made.upper) / 2
    return Box(middle - off, middle + off)


@pytest.mark.parametrize("broken", ["half the ball", "another network", "an abs forgotten"])
def test_a_broken_bound_is_found_by_the_attack(broken, monkeypatch):
    images, epsilon = rand(40, *SHAPE), 0.05
    network, radius = rising_detector(), epsilon
    bounded = copy.deepcopy(network)
    if broken == "half the ball":
        radius = epsilon / 2
    elif broken == "another network":
        bounded.body[0].bias.data -= 0.02
    else:
        network.body = bounded.body = nn.Sequential(
            nn.Flatten(), seeded(lambda: nn.Linear(144, 64)), nn.ReLU()
        )
        monkeypatch.setattr("deceive.certifying.rules.affine", signed)
    bound = log_odds(bounded, images, radius).upper
    assert (climbed(network, images, epsilon, 10, odds) > bound).any()


@pytest.fixture(scope="module")
def claimed():
    """1,000 images of garbage for which the shipped detector proves that none near them passes."""
    real = load_data().test
    made = [GarbageImages(kind, 170, real, seed=7).read(slice(170)) for kind in GARBAGE]
    images, detector = torch.cat(made), load_network("detector")
    bound = log_odds(detector, images, 0.3)
    sure = bound.upper < math.log(99)
    assert sure.double().mean() > 0.985
    return detector, images[sure][:1000], bound.upper[sure][:1000]


@pytest.mark.shipped
def test_a_strong_attack_finds_nothing_in_a_thousand_balls(claimed):
    detector, images, bound = claimed
    assert len(images) == 1000
    found = climbed(detector, images, 0.3, 8, odds)
    assert (found <= bound).all()
    assert (found < math.log(99)).all()
    # The attack is no weak one: it climbs most of the way to the bound.
    start = odds(detector, images).detach()
    assert ((found - start) / (bound - start)).median() > 0.3


@pytest.mark.shipped
@pytest.mark.parametrize("broken", ["a smaller ball", "another detector"])
def test_the_same_attack_finds_a_broken_claim(claimed, broken):
    detector, images, bound = (each[:200] if torch.is_tensor(each) else each for each in claimed)
    if broken == "a smaller ball":
        bound = log_odds(detector, images, 0.1).upper
    else:
        detector = copy.deepcopy(detector)
        detector.head.weight.data.mul_(0.3)  # less sure of everything
    assert (climbed(detector, images, 0.3, 8, odds) > bound).any()


class Odd(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).sin()


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Flatten(), Odd()), r"got sin at layer sin$"),
        (nn.Sequential(nn.Sequential(nn.GELU()), nn.Flatten()), r"got a GELU at layer 0"),
        (lambda images: images, r"got a black box \(function\)"),
        (Classifier("draw", 3, SHAPE), r"got a NoiseBody at layer body"),
        (nn.Sequential(nn.Linear(12, 2).half(), nn.Flatten()), r"float32, got torch.float16"),
    ],
)
def test_what_cannot_be_bounded_is_said(network, message):
    with pytest.raises(InputError, match=message):
        certify(network, rand(1, *SHAPE), 0.1)


def test_layers_with_hooks_are_not_bounded():
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    network[0].register_forward_hook(lambda *_: None)
    with pytest.raises(InputError, match="without hooks, got some on a Flatten"):
        certify(network, rand(1, *SHAPE), 0.1)


@pytest.mark.parametrize(("epsilon", "threshold"), [(-0.1, 0.9), (math.nan, 0.9), (0.1, 1.0)])
def test_settings_out_of_range_are_refused(epsilon, threshold):
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(InputError, match="expected a number"):
        certify(network, rand(1, *SHAPE), epsilon, threshold=threshold)


def test_a_network_that_overflows_is_not_certified():
    network = nn.Sequential(nn.Flatten(), nn.Linear(144, 2))
    nn.init.constant_(network[1].weight, 1e38)
    assert not certify(network, rand(2, *SHAPE), 0.1).certified.any()


def guarded(**options) -> Guarded:
    guard = lively(seeded(lambda: Classifier("guard", 4, SHAPE)))
    reader = nn.Sequential(nn.Flatten(), Odd(), seeded(lambda: nn.Linear(144, 3)))
    return Guarded(guard, [reader], **options).eval()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shifts": ((0, 0), (1, -1))},
        {"guard_doubt": 0.1},
        {"guard_doubt": 1},
        {"image_shape": (1, 24, 24)},
    ],
)
@pytest.mark.parametrize("with_detector", [False, True])
def test_a_guarded_network_is_bounded_whatever_its_readers_say(options, with_detector):
    detector = sharp_detector() if with_detector else None
    network = guarded(detector=detector, **options)
    if "image_shape" in options:
        network.readers[0][2] = seeded(lambda: nn.Linear(576, 3))
    images, epsilon = rand(4, *network.image_shape), 0.02
    tried = near(images, epsilon, 200)
    with torch.no_grad():
        said = network(tried.flatten(0, 1)).double().softmax(1).view(200, 4, 4)
    proved = certify(network, images, epsilon)
    assert (said[..., :3].amax(2) <= proved.confidence).all()
    if detector is not None and "image_shape" not in options:
        odds = log_odds(detector, images, epsilon).upper
        assert (proved.confidence <= odds.sigmoid() + 1e-4).all()


@pytest.mark.parametrize(
    "options",
    [{}, {"shifts": ((0, 0), (1, 0))}, {"guard_doubt": 0.1}, {"detector": rising_detector()}],
)
def test_a_guarded_network_may_be_the_guard_of_another(options):
    inner = guarded(shifts=((0, 0), (1, -1)), detector=sharp_detector())
    reader = nn.Sequential(nn.Flatten(), seeded(lambda: nn.Linear(144, 3)))
    network = Guarded(inner, [reader], **options).eval()
    images, epsilon = rand(4, *SHAPE), 0.02
    with torch.no_grad():
        tried = near(images, epsilon, 200).flatten(0, 1)
        said = network(tried).double().softmax(1).view(200, 4, 4)
    proved = certify(network, images, epsilon).confidence
    assert (said[..., :3].amax(2) <= proved).all()
    assert (proved < 1).any()  # the detector's bound is heard


class Handing(nn.Module):
    def __init__(self, network: nn.Module, scale: float) -> None:
        super().__init__()
        self.network, self.scale = network, scale

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images if self.scale == 1 else images * self.scale)


def test_a_module_that_hands_images_on_is_what_it_hands_them_to():
    network, images = guarded(detector=sharp_detector()), rand(3, *SHAPE)
    proved = certify(network, images, 0.02).confidence
    assert torch.equal(certify(Handing(network, 1), images, 0.02).confidence, proved)
    with pytest.raises(InputError, match="expected steps that can be bounded, got mul"):
        certify(Handing(network, 2), images, 0.02)


class Residual(nn.Module):
    """What people write: functions and methods between layers, and a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.last = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4 * 36, 3)
        self.drop = nn.Dropout()

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(images)), inplace=True)
        x = F.max_pool2d(x + self.second(x).relu(), 2)
        x = F.dropout(self.drop(x), training=self.training)
        x = x.view(x.size(0), -1) + 0.5
        return F.log_softmax(self.last(torch.tanh(x).reshape(x.shape[0], -1)), dim=1)


class Pooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 6, 3), nn.LeakyReLU(0.2), nn.AvgPool2d(2))
        self.pool = nn.AdaptiveAvgPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.layers(images))
        return torch.flatten(torch.sigmoid(x), 1).softmax(1) if self.training else x.mean((2, 3))


@pytest.mark.parametrize("made", [Residual, Pooling])
def test_code_of_any_class_is_followed(made):
    network = lively(seeded(made))
    images, epsilon = rand(3, *SHAPE), 0.02
    tried = near(images, epsilon, 200)
    with torch.no_grad():
        said = network(tried.flatten(0, 1)).double().softmax(1).view(200, 3, -1)
    proved = certify(network, images, epsilon).confidence
    assert (said.amax(2) <= proved).all()
    assert (proved < 1).all()
    nothing = certify(network, images, 0.0).confidence
    torch.testing.assert_close(
        nothing, network(images).double().softmax(1).amax(1), atol=1e-3, rtol=0
    )


class Branching(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) if images.sum() > 0 else -images.flatten(1)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Branching(), "expected code that torch.fx can follow, got a Branching"),
        (nn.Sequential(nn.Flatten(), nn.Linear(144, 2), Odd()), "got sin at layer sin"),
    ],
)
def test_code_that_cannot_be_followed_is_said(network, message):
    with pytest.raises(InputError, match=message):
        certify(network, rand(1, *SHAPE), 0.1)


def test_a_softmax_at_the_end_is_left_out():
    plain = nn.Sequential(nn.Flatten(), seeded(lambda: nn.Linear(144, 3)))
    images = rand(4, *SHAPE)
    for last in (nn.Softmax(1), nn.LogSoftmax(1)):
        one = certify(nn.Sequential(*plain, last), images, 0.05).confidence
        assert torch.equal(one, certify(plain, images, 0.05).confidence)


def test_several_shifts_are_not_averaged_before_they_are_summed():
    """The log Σ exp is convex: of the mean it is less than the mean of it."""
    guard = Classifier("guard", 3, (1, 1, 2)).eval()
    guard.body, guard.head = nn.Flatten(), nn.Linear(2, 3)
    with torch.no_grad():
        guard.mean.zero_(), guard.std.fill_(1)
        guard.head.weight.copy_(torch.tensor([[9.0, 0.0], [0.0, 9.0], [0.0, 0.0]]))
        guard.head.bias.zero_()
    reader = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    nn.init.zeros_(reader[1].weight), nn.init.zeros_(reader[1].bias)
    network = Guarded(guard, [reader], guard_doubt=0.5, shifts=((0, 0), (0, 1)))
    image = torch.tensor([[[[1.0, 0.0]]]])
    proved = certify(network, image, 0.0).confidence
    assert network(image).double().softmax(1)[0, :2].amax() <= proved


def test_what_is_proved_is_counted():
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor([[8.0], [0.0]]))
        network[1].bias.copy_(torch.tensor([-2.0, 0.0]))
    images = torch.tensor([0.2, 0.9]).view(2, 1, 1, 1)
    proved = certify(network, images, 0.1, threshold=0.9)
    assert proved.certified.tolist() == [True, False]
    assert proved.share == 0.5
    assert certify(network, images[:0], 0.1).confidence.shape == (0,)
    # As a class against rubbish, only the first output counts.
    assert certify(network, images * 0, 0.0, rubbish_class=1).confidence[0] < 0.2
    assert boxes.ROUNDING == 2**-24
