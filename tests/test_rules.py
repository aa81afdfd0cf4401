import pytest
import torch

from conftest import Bands
from deceive.common.errors import InputError
from deceive.fooling.ascent import Ascent, Schedule
from deceive.fooling.climb import climb
from deceive.fooling.drawing import DRAWING
from deceive.fooling.fool import fool
from deceive.fooling.rules import RULES
from deceive.fooling.starts import begin


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


def test_the_reach_of_momentum_grows_and_then_falls():
    state, _ = begun("momentum", 5)
    taken = torch.tensor([0, 20, 30, 120, 3000])
    move = RULES["momentum"].move(torch.ones(5, 1, 2, 2), state, taken, 0.5)
    assert move.reach.tolist() == pytest.approx([1, 3, 4, 2, 0.4])


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


def test_steps_along_the_normalised_gradient_are_of_one_length():
    state, taken = begun("normalised", 2)
    gradient = torch.tensor([[[[1.0, -7.0], [0.0, 0.0]]], [[[3.0, 3.0], [-3.0, 3.0]]]])
    move = RULES["normalised"].move(1e-6 * gradient, state, taken + 90, 0)
    assert move.reach.tolist() == [1, 1]
    torch.testing.assert_close(move.direction.square().mean((1, 2, 3)), torch.ones(2))
    assert move.direction[0].flatten().tolist() == pytest.approx([2 / 50**0.5, -14 / 50**0.5, 0, 0])


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
    move = RULES[rule].move(torch.zeros(2, 1, 2, 2), state, taken, 0.5, torch.tensor([3.0, 0.0]))
    assert move.direction.abs().max() == 0
    assert move.direction.isfinite().all()
    assert move.reach.isfinite().all()


def test_polyak_goes_twice_as_far_as_the_gradient_says():
    state, taken = begun("polyak", 1)
    gradient = torch.tensor([[[[1.0, -3.0], [0.0, 4.0]]]])  # mean size 2
    move = RULES["polyak"].move(gradient.clone(), state, taken, 0.5, torch.tensor([26.0]))
    assert move.direction.flatten().tolist() == [0.5, -1.5, 0, 2]
    risen = (move.reach * move.direction * gradient).sum()
    assert risen.item() == pytest.approx(2 * 26)


def test_steps_of_polyak_are_neither_tiny_nor_huge():
    state, _ = begun("polyak", 4)
    taken, lacking = torch.arange(4), torch.tensor([-1.0, 0.1, 1e6, torch.inf])
    move = RULES["polyak"].move(torch.ones(4, 1, 2, 2), state, taken, 0.5, lacking)
    assert move.reach.tolist() == [1, 1, 20, 20]


def test_where_polyak_leads_down_it_goes_no_further_than_it_must():
    state, taken = begun("polyak", 1)
    state += 10
    move = RULES["polyak"].move(-torch.ones(1, 1, 2, 2), state, taken, 0.5, torch.tensor([5.0]))
    assert move.direction.flatten().tolist() == [4] * 4
    assert move.reach.tolist() == [1]


@pytest.mark.parametrize("bounds", [(0, 1), (-2, 6)])
def test_polyak_needs_fewer_steps(bounds):
    network = Bands(bounds=bounds)
    usual = fool(network, range(4), count=5, bounds=bounds)
    aimed = fool(network, range(4), count=5, bounds=bounds, ascent=Ascent(rule="polyak"))
    assert aimed.fooled.all()
    assert aimed.steps.double().mean() < usual.steps.double().mean() / 2


def test_polyak_aims_at_the_last_confidence():
    options = {"start": "smooth", "ascent": Ascent(rule="polyak")}
    one = fool(Bands(), range(4), confidence=0.9, **options)
    several = fool(Bands(), range(4), confidence=(0.3, 0.9), **options)
    assert torch.equal(one.levels, several.levels)
    assert torch.equal(one.steps, several.steps)


@pytest.mark.parametrize("objective", ["margin", lambda logits, targets: logits[:, 0]])
def test_polyak_wants_a_score_whose_goal_is_known(bands, objective):
    with pytest.raises(
        InputError, match="objective: expected log_odds, the only one that the rule polyak"
    ):
        fool(bands, 0, objective=objective, ascent=Ascent(rule="polyak"))


def test_steps_without_a_confidence_refuse_a_rule_that_aims_at_one(bands):
    start = begin("uniform", range(1), bands.image_shape, 0)
    with pytest.raises(
        InputError, match="ascent: expected the rule momentum, sign, adam or normalised, got"
    ):
        climb(bands, start, 0, Ascent(rule="polyak"), steps=1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_every_rule_gets_there(bands, rule, smoothing):
    result = fool(
        bands, range(4), count=5, ascent=Ascent(rule=rule, noise=smoothing, step_size=0.05)
    )
    assert result.fooled.all()


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_keeps_images_apart(rule):
    network = Bands()
    alone = fool(
        network, 2, start=begin("smooth", range(7, 8), (1, 4, 4), 0), ascent=Ascent(rule=rule)
    )
    among = fool(
        network,
        2,
        start=begin("smooth", range(10), (1, 4, 4), 0),
        count=10,
        ascent=Ascent(rule=rule),
    )
    assert torch.equal(alone.levels[0], among.levels[7])
    assert alone.steps[0] == among.steps[7]


def test_momentum_is_the_default(bands):
    one, other = fool(bands, range(4)), fool(bands, range(4), ascent=Ascent(rule="momentum"))
    assert torch.equal(one.levels, other.levels)
    assert torch.equal(one.steps, other.steps)


def test_the_first_step_moves_pixels_by_the_step_size_on_average(bands):
    """Of four bands in middle grey, one pulls up three times as hard as each other pulls down.

    So steps of mean length 0.01 are 0.02 up and 0.02 / 3 down.
    """
    grey = torch.full((1, *bands.image_shape), 0.5)
    levels = fool(bands, range(4), start=grey, steps=1).levels
    up, down = round(255 * (0.5 + 0.02)), round(255 * (0.5 - 0.02 / 3))
    wanted = torch.cat([bands.best(k) for k in range(4)]) > 0
    assert torch.equal(levels, torch.where(wanted, up, down).to(torch.uint8))


class Ripples(Bands):
    """`Bands` whose gradient at a point misleads: ripples that are steep, but not high."""

    def forward(self, images):
        return super().forward(images + 0.005 * torch.sin(400 * images))


def test_a_smoothed_gradient_sees_past_ripples():
    options = {"rule": "sign", "step_size": 0.002}
    plain = fool(Ripples(), range(4), count=10, steps=600, ascent=Ascent(**options))
    smoothed = fool(Ripples(), range(4), count=10, steps=600, ascent=Ascent(**options, noise=0.05))
    assert smoothed.fooling_rate > plain.fooling_rate + 0.2


def test_smoothing_is_seeded_call_by_call(bands, untouched_rng):
    runs = [fool(Ripples(), 1, count=4, ascent=Ascent(noise=0.1), seed=seed) for seed in (3, 3)]
    assert torch.equal(runs[0].levels, runs[1].levels)
    start = begin("uniform", range(4), bands.image_shape, 0)
    one, other = (
        fool(Ripples(), 1, count=4, ascent=Ascent(noise=0.1), start=start, seed=seed)
        for seed in (0, 1)
    )
    assert not torch.equal(one.levels, other.levels)


def test_smoothing_is_a_share_of_the_bounds():
    one, other = (
        fool(Bands(bounds=bounds), range(4), start="blank", bounds=bounds, ascent=Ascent(noise=0.1))
        for bounds in [(0, 1), (0, 2)]
    )
    assert torch.equal(one.levels, other.levels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"rule": "newton"},
            "rule\\n.*one of momentum, sign, adam, normalised, polyak; got 'newton'",
        ),
        ({"noise": -0.1}, "noise\\n.*greater than or equal to 0"),
        ({"noise": float("nan")}, "noise\\n.*finite number"),
        ({"step_size": 0}, "step_size\\n.*greater than 0"),
        ({"momentum": 1}, "momentum\\n.*less than 1"),
        ({"speed": 1}, "speed\\n.*not permitted"),
        ({"step_size": 1e300}, "step_size\\n.*less than or equal to 1000"),
        ({"noise": 1e300}, "noise\\n.*less than or equal to 1000"),
        (
            {"schedule": {"steps": 1, "least_noise": 1e300}},
            "schedule.least_noise\\n.*less than or equal to 1000",
        ),
        (
            {"schedule": {"steps": 1, "noise_power": 1e300}},
            "schedule.noise_power\\n.*less than or equal to 1000",
        ),
        ({"hold": 0.5}, "hold\\n.*not permitted"),
        ({"schedule": None, "least_noise": 0.1}, "least_noise\\n.*not permitted"),
        ({"least_noise": 0.1}, "schedule.steps\\n.*Field required"),
    ],
)
def test_bad_settings_are_value_errors_that_name_them(options, message):
    with pytest.raises(ValueError, match=message):
        Ascent(**options)


def test_a_schedule_falls_from_the_first_step_to_its_least():
    ascent = Ascent(
        step_size=0.1, noise=1, schedule=Schedule(steps=4, least_noise=0.2, noise_power=2)
    )
    taken = torch.tensor([0, 1, 2, 4, 9])
    assert ascent.size_after(taken).tolist() == pytest.approx([0.1, 0.075, 0.05, 0, 0])
    assert ascent.noise_after(taken).tolist() == pytest.approx([1, 0.65, 0.4, 0.2, 0.2])


def test_an_ascent_stored_by_an_older_version_is_still_read():
    flat = {"rule": "sign", "step_size": 0.18, "momentum": 0, "noise": 1, "hold": None}
    flat |= {"least_noise": 0.03, "noise_power": 1.5, "schedule": 20}
    assert Ascent(**flat) == DRAWING
    assert Ascent(least_noise=0, noise_power=1, schedule=None, hold=None) == Ascent()


def test_a_change_of_some_settings_leaves_the_others():
    schedule = DRAWING.schedule
    for change in ({"schedule": 60}, {"schedule": {"steps": 60}}):
        longer = Ascent(**DRAWING.settings_with(change))
        assert longer.schedule == Schedule(
            steps=60, least_noise=schedule.least_noise, noise_power=schedule.noise_power
        )
        assert longer.model_copy(update={"schedule": schedule}) == DRAWING
    quiet = Ascent(**DRAWING.settings_with({"noise": 0, "least_noise": 0}))
    assert quiet.noise_after(torch.arange(3)).tolist() == [0, 0, 0]
    assert quiet.schedule.steps == 20
    assert Ascent(**DRAWING.settings_with({"schedule": None})).schedule is None
    assert Ascent(**Ascent().settings_with({"schedule": 5})).schedule == Schedule(steps=5)
