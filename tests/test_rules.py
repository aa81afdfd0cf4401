import pytest
import torch

from conftest import Bands
from deceive.fooling import fool, to_levels
from deceive.inference import FrozenCopy
from deceive.objectives import log_odds
from deceive.rules import RULES
from deceive.starts import begin

pytestmark = pytest.mark.usefixtures("one_thread")


def begun(rule, n=2, shape=(1, 2, 2)):
    return torch.zeros(n, RULES[rule].memory, *shape), torch.zeros(n, dtype=torch.int64)


def test_momentum_is_the_normalised_gradient_with_growing_reach():
    state, taken = begun("momentum", 1)
    gradient = torch.tensor([[[[1.0, -3.0], [0.0, 4.0]]]])  # mean size 2
    first = RULES["momentum"].move(gradient.clone(), state, taken, 0.5)
    assert first.reach.tolist() == [1]
    assert first.direction.flatten().tolist() == [0.5, -1.5, 0, 2]
    second = RULES["momentum"].move(gradient.clone(), first.state, taken + 5, 0.5)
    assert second.reach.tolist() == [1.5]
    assert second.direction.flatten().tolist() == [0.75, -2.25, 0, 3]


def test_sign_moves_every_pixel_as_far():
    state, taken = begun("sign", 1)
    gradient = torch.tensor([[[[1.0, -3.0], [0.0, 4.0]]]])
    move = RULES["sign"].move(gradient.clone(), state, taken + 90, 0.5)
    assert move.reach.tolist() == [1]
    assert move.direction.flatten().tolist() == [1, -1, 0, 1]
    # What was gathered outweighs a small gradient the other way.
    after = RULES["sign"].move(-0.1 * gradient, move.state, taken, 0.9)
    assert after.direction.flatten().tolist() == [-1, 1, 0, -1]  # normalised, so it is not small
    kept = RULES["sign"].move(torch.zeros_like(gradient), after.state, taken, 0.9)
    assert kept.direction.flatten().tolist() == [-1, 1, 0, -1]


def test_adam_is_torchs_adam():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        gradients = torch.randn(6, 3, 1, 2, 2).double()
    parameter = torch.zeros(3, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([parameter], lr=1, betas=(0.5, 0.9), eps=0, maximize=True)
    state, taken = begun("adam", 3)
    state, place = state.double(), torch.zeros(3, 1, 2, 2, dtype=torch.float64)
    for step, gradient in enumerate(gradients):
        parameter.grad = gradient.clone()
        optimiser.step()
        move = RULES["adam"].move(gradient.clone(), state, taken + step, 0.5)
        state = move.state
        place += move.reach[:, None, None, None] * move.direction
        torch.testing.assert_close(place, parameter.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_a_gradient_of_nothing_moves_nothing(rule):
    state, taken = begun(rule)
    move = RULES[rule].move(torch.zeros(2, 1, 2, 2), state, taken, 0.5)
    assert move.direction.abs().max() == 0
    assert move.direction.isfinite().all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_every_rule_gets_there(bands, rule, smoothing):
    result = fool(bands, range(4), count=5, rule=rule, smoothing=smoothing, step_size=0.05)
    assert result.fooled.all()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_keeps_images_apart(rule):
    network = Bands()
    alone = fool(network, 2, start=begin("smooth", range(7, 8), (1, 4, 4), 0), rule=rule)
    among = fool(network, 2, start=begin("smooth", range(10), (1, 4, 4), 0), count=10, rule=rule)
    assert torch.equal(alone.levels[0], among.levels[7])
    assert alone.steps[0] == among.steps[7]


def test_momentum_is_the_default(bands):
    one, other = fool(bands, range(4)), fool(bands, range(4), rule="momentum", smoothing=0)
    assert torch.equal(one.levels, other.levels)
    assert torch.equal(one.steps, other.steps)


def test_the_first_step_of_the_default_rule_bit_by_bit(bands):
    """The published step, written out anew, against what the loop does."""
    start = begin("uniform", range(4), bands.image_shape, 0)
    targets = torch.arange(4)
    images = start.clone().requires_grad_()
    net = FrozenCopy(bands, start[:1])
    (gradient,) = torch.autograd.grad(log_odds(net.logits(images), targets).sum(), images)
    velocity = gradient / gradient.abs().mean((1, 2, 3), keepdim=True)
    after = torch.addcmul(start, torch.full((4, 1, 1, 1), 0.01), velocity).clamp_(0, 1)
    assert torch.equal(fool(bands, range(4), steps=1).levels, to_levels(after))


class Ripples(Bands):
    """`Bands` whose gradient at a point misleads: ripples that are steep, but not high."""

    def forward(self, images):
        return super().forward(images + 0.005 * torch.sin(400 * images))


def test_a_smoothed_gradient_sees_past_ripples():
    options = {"count": 10, "rule": "sign", "step_size": 0.002, "steps": 600}
    plain = fool(Ripples(), range(4), **options)
    smoothed = fool(Ripples(), range(4), **options, smoothing=0.05)
    assert smoothed.fooling_rate > plain.fooling_rate + 0.2


def test_smoothing_is_seeded_call_by_call(bands, untouched_rng):
    runs = [fool(Ripples(), 1, count=4, smoothing=0.1, seed=seed) for seed in (3, 3)]
    assert torch.equal(runs[0].levels, runs[1].levels)
    start = begin("uniform", range(4), bands.image_shape, 0)
    one, other = (
        fool(Ripples(), 1, count=4, smoothing=0.1, start=start, seed=seed) for seed in (0, 1)
    )
    assert not torch.equal(one.levels, other.levels)


def test_smoothing_is_a_share_of_the_bounds():
    one, other = (
        fool(Bands(bounds=bounds), range(4), start="blank", bounds=bounds, smoothing=0.1)
        for bounds in [(0, 1), (0, 2)]
    )
    assert torch.equal(one.levels, other.levels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "newton"}, "rule: expected one of momentum, sign, adam; got 'newton'"),
        ({"smoothing": -0.1}, "smoothing: expected a number of at least 0"),
        ({"smoothing": float("nan")}, "smoothing: expected a number of at least 0"),
    ],
)
def test_bad_input_is_one_clear_value_error(bands, options, message):
    with pytest.raises(ValueError, match=message):
        fool(bands, 0, **options)
