import dataclasses
import math
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import nn

from conftest import (
    Bands,
)
from deceive.common.levels import from_levels, to_levels
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.objectives import OBJECTIVES
from deceive.fooling.result import Progress
from deceive.fooling.starts import STARTS, begin
from deceive.networks.inference import logits_of
from worlds.fooling import all_bounds, confidence_alone, convolutional, reread, same

# What counts as fooling.


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("asked", [0.5, 0.9, 0.99, 0.998])
def test_every_fooling_image_still_fools_as_a_png_alone(tmp_path, bands, asked):
    result = fool(bands, range(4), count=5, confidence=asked)
    assert result.fooled.all()
    for row, target in enumerate(result.targets):
        image = reread(result, row, tmp_path / "image.png")
        torch.testing.assert_close(image, result.images[row : row + 1])
        found = confidence_alone(bands, image, target)
        assert found >= asked
        assert found == pytest.approx(result.confidence[row].item(), abs=1e-5)


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 9)])
def test_so_do_those_of_a_network_that_is_not_linear(tmp_path, shape):
    network = convolutional(shape)
    result = fool(network, range(5), count=4, confidence=0.95, ascent=Ascent(step_size=0.05))
    assert result.levels.shape == (20, *shape)
    assert result.fooled.all()
    for row, target in enumerate(result.targets):
        image = reread(result, row, tmp_path / "image.png")
        assert confidence_alone(network, image, target) >= 0.95


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("bounds", [(0, 1), (-1, 1), (-0.4242, 2.8215), (0, 255)])
def test_any_start_in_any_bounds(tmp_path, start, bounds):
    network = Bands(bounds=bounds)
    result = fool(network, range(4), start=start, count=2, bounds=bounds)
    assert result.bounds == bounds
    assert result.fooled.all()
    assert result.images.min() >= bounds[0]
    assert result.images.max() <= bounds[1]
    image = reread(result, 5, tmp_path / "image.png")
    assert confidence_alone(network, image, 2) >= 0.99


def test_the_step_is_a_share_of_the_bounds():
    runs = [
        fool(
            Bands(bounds=bounds),
            range(4),
            start="blank",
            bounds=bounds,
            ascent=Ascent(step_size=0.1),
        )
        for bounds in [(0, 1), (-1, 1), (0, 255)]
    ]
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])


@pytest.mark.parametrize(
    ("n_classes", "shape"), [(10, (1, 28, 28)), (2, (3, 5, 4)), (11, (2, 11, 3))]
)
def test_any_shape_and_number_of_classes(n_classes, shape):
    network = Bands(n_classes, shape, sure=12)
    result = fool(network, range(n_classes))
    assert result.images.shape == (n_classes, *shape)
    assert result.images.dtype == torch.float32
    assert result.fooled.all()
    assert torch.equal(logits_of(network, result.images).argmax(1), result.targets)


def test_the_shape_may_be_given_and_is_mnists_otherwise():
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    assert fool(network, 3, steps=0).levels.shape == (1, 1, 28, 28)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(4), Bands())
    assert fool(network, 3, steps=0, shape=(1, 9, 7)).levels.shape == (1, 1, 9, 7)


def test_known_steps_and_confidence(bands):
    # From black only the target's quarter can move: by 4 × 0.0625 a step at mean |g| = 1.
    # The band's level is 0.25, 0.25 × (1 + 1.1) and 0.25 × (1 + 1.1 + 1.2) = 0.825 after one to
    # three steps: 8 × 0.525 isn't log(3 × 99) = 5.7, and 8 × 0.825 is.
    result = fool(bands, range(4), start="blank", ascent=Ascent(step_size=0.0625, momentum=0))
    assert result.fooled.all()
    assert result.steps.tolist() == [3, 3, 3, 3]
    assert result.median_steps == 3
    assert result.fooling_rate == 1
    for target in range(4):
        assert torch.equal(result.levels[target], (bands.best(target)[0] * 210).to(torch.uint8))
    expected = bands.confidence(210 / 255)
    assert result.confidence.tolist() == pytest.approx([expected] * 4, abs=1e-6)


def test_momentum_adds_the_last_steps_to_each_step(bands):
    # v = 1, 1.5, 1.75, …, and the steps are 0.2, 0.22, 0.24 long: the level goes 0, 0.2, 0.53,
    # 0.95, and 8 × 0.95 is enough.
    result = fool(
        bands, 1, start="blank", ascent=Ascent(step_size=0.05, momentum=0.5), trajectory=True
    )
    assert result.steps.tolist() == [3]
    band = result.trajectories[0].levels[:, 0, 1]
    assert band.float().mean(1).tolist() == [0, 51, 135, 242]


def test_pixels_held_by_a_bound_count_for_nothing(bands):
    # Between black bands and white ones of other classes: the black can't sink, the white can.
    start = bands.best(2)
    (way,) = fool(
        bands, 0, start=start, steps=1, ascent=Ascent(step_size=0.01), trajectory=True
    ).trajectories
    before, after = from_levels(way.levels)
    assert torch.equal(after[0, [1, 3]], before[0, [1, 3]])
    assert (after - before).abs().mean().item() == pytest.approx(0.01, abs=0.5 / 255)


def test_momentum_is_kept_image_by_image():
    network = convolutional()
    options = {"ascent": Ascent(step_size=0.02, momentum=0.9), "confidence": 0.9}
    together = fool(network, range(5), count=4, chunk=3, **options)
    assert together.steps.unique().numel() > 2
    apart = fool(network, range(5), count=4, chunk=20, **options)
    assert same(together, apart)


@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_out_of_steps_is_not_fooled_and_says_the_true_confidence(tmp_path, bands, steps):
    result = fool(bands, range(4), confidence=0.99, steps=steps, ascent=Ascent(step_size=0.001))
    assert not result.fooled.any()
    assert result.steps.tolist() == [steps] * 4
    assert result.fooling_rate == 0
    assert result.median_steps is None
    for row, target in enumerate(result.targets):
        found = confidence_alone(bands, reread(result, row, tmp_path / "image.png"), target)
        assert result.confidence[row].item() == pytest.approx(found, abs=1e-6)
        assert found < 0.99


def test_beyond_the_summit_nothing_fools_and_below_it_everything_does(bands):
    beyond, below = bands.summit + 1e-4, bands.summit - 1e-4
    result = fool(bands, range(4), confidence=beyond, steps=60)
    assert not result.fooled.any()
    assert result.steps.tolist() == [60] * 4
    assert torch.equal(result.images, torch.cat([bands.best(k) for k in range(4)]))
    assert result.confidence.tolist() == pytest.approx([bands.summit] * 4, abs=1e-6)
    assert fool(bands, range(4), confidence=below, steps=60).fooled.all()


def test_fooled_or_not_is_said_image_by_image(bands):
    # Towards band 0 from its best image there is no way to go, towards band 1 there is.
    result = fool(
        bands, [0, 1], start=bands.best(0), steps=10, ascent=Ascent(step_size=0.01, momentum=0)
    )
    assert result.fooled.tolist() == [True, False]
    assert result.fooling_rate == 0.5
    assert result.median_steps == 0
    assert result.steps.tolist() == [0, 10]
    assert result.confidence[0] >= 0.99 > result.confidence[1]


def test_a_start_that_already_fools_takes_no_steps(bands):
    start = torch.cat([bands.best(k) for k in range(4)])
    for steps in (0, 100):
        result = fool(bands, range(4), start=start, steps=steps)
        assert result.fooled.all()
        assert result.steps.tolist() == [0] * 4
        assert torch.equal(result.images, start)


def test_a_start_that_fools_before_it_is_rounded_only_does_not_count(bands):
    # At 0.99 exactly, level 182 (of 255) is short of it and 183 is beyond.
    level = math.log(3 * 0.99 / 0.01) / 8
    assert bands.confidence(math.floor(level * 255) / 255) < 0.99
    rounds_down = bands.best(0) * (math.floor(level * 255) + 0.4999) / 255
    asked = bands.confidence((math.floor(level * 255) + 0.4) / 255)
    result = fool(bands, 0, start=rounds_down, steps=0, confidence=asked)
    assert bands(rounds_down).softmax(1)[0, 0] > asked
    assert not result.fooled.any()
    assert result.confidence[0] < asked
    assert fool(bands, 0, start=rounds_down, steps=1, confidence=asked).fooled.all()


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("noise", [0, 0.1])
@pytest.mark.parametrize("chunk", [2, 250])
def test_waypoints_are_what_asking_for_less_would_have_given(noise, chunk):
    network, options = convolutional(), {"count": 3, "chunk": chunk, "steps": 40}
    options["ascent"] = Ascent(step_size=0.02, noise=noise)
    asked = [0.5, 0.9, 0.99, 0.999999]
    result = fool(network, range(5), confidence=asked, **options)
    assert 0 < result.fooling_rate < 1
    assert not torch.equal(result.steps, result.waypoints[0].steps)
    for confidence, found in zip(asked, [*result.waypoints, result], strict=True):
        assert same(found, fool(network, range(5), confidence=confidence, **options))


def test_one_step_may_pass_several_waypoints(bands):
    result = fool(bands, 0, start=bands.best(0), confidence=[0.3, 0.6, 0.99])
    assert len(result.waypoints) == 2
    for found in (*result.waypoints, result):
        assert found.fooled.all()
        assert found.steps.tolist() == [0]
        assert torch.equal(found.images, bands.best(0))


# Targets, starts and seeds.


@pytest.mark.parametrize(
    "targets",
    [[2, 0, 3], (2, 0, 3), torch.tensor([2, 0, 3]), np.array([2, 0, 3]), iter([2, 0, 3])],
)
def test_targets_follow_one_another_count_at_a_time(bands, targets):
    result = fool(bands, targets, count=3, steps=0)
    assert result.targets.tolist() == [2, 2, 2, 0, 0, 0, 3, 3, 3]
    assert result.targets.dtype == torch.int64
    assert len(result) == 9


@pytest.mark.parametrize("target", [3, np.int64(3), torch.tensor(3)])
def test_one_target(bands, target):
    assert fool(bands, target, steps=0).targets.tolist() == [3]


def test_what_a_result_holds(bands):
    result = fool(bands, range(4), count=2)
    assert result.levels.dtype == torch.uint8
    assert (result.confidence.dtype, result.fooled.dtype) == (torch.float32, torch.bool)
    assert result.steps.dtype == torch.int64
    assert result.trajectories is None
    for field in ("levels", "confidence", "fooled", "steps"):
        assert len(getattr(result, field)) == 8
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.steps = None


@pytest.mark.parametrize("start", STARTS)
def test_without_steps_the_result_is_the_start(bands, start):
    result = fool(bands, range(4), count=2, start=start, steps=0, seed=7)
    assert torch.equal(result.levels, to_levels(begin(start, range(8), (1, 4, 4), 7)))


def test_images_of_ones_own(bands):
    start = torch.rand(4, 1, 4, 4, dtype=torch.float64)
    before = start.clone()
    result = fool(bands, range(4), start=start, steps=0)
    assert torch.equal(result.levels, to_levels(start.float()))
    assert fool(bands, range(4), start=start).fooled.all()
    assert torch.equal(start, before)


def test_one_image_of_ones_own_for_all(bands):
    start = torch.rand(1, 1, 4, 4, requires_grad=True)
    result = fool(bands, range(4), count=3, start=start, steps=0, chunk=5)
    assert torch.equal(result.levels, to_levels(start.detach()).expand(12, -1, -1, -1))
    assert start.grad is None
    assert start.requires_grad


@given(all_bounds())
def test_a_result_can_be_the_next_start(bounds):
    network = Bands(bounds=bounds)
    first = fool(network, [0, 1], start="gaussian", bounds=bounds, steps=3, seed=4)
    again = fool(network, [0, 1], start=first.images, bounds=bounds, steps=0)
    assert torch.equal(first.levels, again.levels)


@pytest.mark.usefixtures("untouched_rng")
def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    network = convolutional()
    runs = [fool(network, range(5), seed=seed, ascent=Ascent(step_size=0.05)) for seed in (0, 0, 1)]
    assert runs[0].fooled.all()
    assert same(runs[0], runs[1])
    assert torch.equal(runs[0].confidence, runs[1].confidence)
    assert not any(torch.equal(a, b) for a, b in zip(runs[0].levels, runs[2].levels, strict=True))


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("chunk", [1, 3, 7, 12, 1000])
def test_the_chunk_changes_nothing_but_the_memory(bands, chunk):
    sizes = []
    bands.register_forward_hook(lambda module, given, output: sizes.append(len(output)))
    options = {"count": 3, "ascent": Ascent(step_size=0.02), "start": "smooth", "seed": 3}
    result = fool(bands, range(4), chunk=chunk, **options)
    assert max(sizes) <= max(chunk, 2)
    assert result.steps.unique().numel() > 1
    assert same(result, fool(bands, range(4), **options))


def test_an_image_does_not_depend_on_those_beside_it(bands):
    all_of_them = fool(bands, [1, 1, 1, 2], ascent=Ascent(step_size=0.02))
    alone = fool(bands, 1, ascent=Ascent(step_size=0.02))
    assert torch.equal(alone.levels[0], all_of_them.levels[0])
    assert alone.steps[0] == all_of_them.steps[0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_gets_there(bands, objective):
    options = {"start": "blank", "ascent": Ascent(step_size=0.025, momentum=0)}
    by_name = fool(bands, range(4), objective=objective, **options)
    assert by_name.fooled.all()
    assert by_name.steps.tolist() == [6] * 4
    function = OBJECTIVES[objective]
    assert same(fool(bands, range(4), objective=function, **options), by_name)


def test_an_objective_may_work_in_place(bands):
    log_odds = OBJECTIVES["log_odds"]
    options = {"confidence": 0.95, "count": 2, "steps": 100}
    apart = fool(bands, range(4), objective=lambda v, t: log_odds(v * 2, t), **options)
    in_place = fool(bands, range(4), objective=lambda v, t: log_odds(v.mul_(2), t), **options)
    assert same(in_place, apart)


def test_an_objective_of_ones_own(bands):
    down = fool(bands, 0, objective=lambda v, t: -OBJECTIVES["logit"](v, t), steps=100)
    assert not down.images[0, 0, 0].any()


# The way there.


def test_a_trajectory_leads_from_the_start_to_the_image(bands):
    result = fool(
        bands, range(4), count=3, trajectory=True, ascent=Ascent(step_size=0.02), chunk=5, seed=2
    )
    assert result.steps.unique().numel() > 1
    starts = to_levels(begin("uniform", range(12), (1, 4, 4), 2))
    for row, way in enumerate(result.trajectories):
        assert way.levels.dtype == torch.uint8
        assert way.levels.shape == (result.steps[row] + 1, 1, 4, 4)
        assert way.confidence.shape == (result.steps[row] + 1,)
        assert torch.equal(way.levels[0], starts[row])
        assert torch.equal(way.levels[-1], result.levels[row])
        assert way.confidence[-1].item() == pytest.approx(result.confidence[row].item(), abs=1e-6)
        assert (way.confidence.diff() > 0).all()
        assert (way.confidence[:-1] < 0.99 + 1e-5).all()
        asked = logits_of(bands, from_levels(way.levels)).softmax(1)[:, result.targets[row]]
        torch.testing.assert_close(way.confidence, asked)


def test_a_trajectory_changes_nothing_else():
    network = convolutional()
    options = {"targets": range(5), "confidence": 0.9, "count": 2, "ascent": Ascent(step_size=0.05)}
    result = fool(network, trajectory=True, **options)
    assert same(result, fool(network, **options))
    assert result.fooled.all()
    for way in (result.trajectories[row] for row in result.steps.nonzero()):
        assert way.confidence[-1] > way.confidence[0]


@pytest.mark.parametrize("chunk", [3, 250])
def test_of_a_trajectory_a_few_steps_and_the_last_may_be_kept(bands, chunk):
    options = {"targets": range(4), "count": 2, "chunk": chunk, "ascent": Ascent(step_size=0.02)}
    whole, few = (fool(bands, trajectory=which, **options) for which in (True, [0, 2, 8, 500]))
    assert same(whole, few)
    assert min(whole.steps) < 8 < max(whole.steps)
    for way, some in zip(whole.trajectories, few.trajectories, strict=True):
        last = len(way.levels) - 1
        shown = [step for step in (0, 2, 8) if step < last] + [last]
        assert torch.equal(some.levels, way.levels[shown])
        assert torch.allclose(some.confidence, way.confidence[shown], atol=1e-6)


def test_a_trajectory_of_no_steps_is_the_start(bands):
    (way,) = fool(bands, 2, steps=0, trajectory=True).trajectories
    assert way.levels.shape == (1, 1, 4, 4)


@pytest.mark.parametrize("chunk", [2, 5, 100])
def test_the_callback_is_told_how_it_stands(bands, chunk):
    seen: list[Progress] = []
    result = fool(
        bands, range(4), count=3, chunk=chunk, ascent=Ascent(step_size=0.02), callback=seen.append
    )
    assert all(progress.total == 12 for progress in seen)
    for name in ("finished", "fooled", "image_steps"):
        values = [getattr(progress, name) for progress in seen]
        assert values == sorted(values)
    assert seen[-1] == (12, 12, int(result.fooled.sum()), int(result.steps.sum()))
    if chunk == 100:
        assert len(seen) == result.steps.max() + 1


# Whatever the caller has set.


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    "around",
    [
        torch.inference_mode,
        torch.no_grad,
        partial(torch.autograd.set_detect_anomaly, True),  # takes effect when it is made
        "float64",
        "bfloat16",
        "meta",
    ],
)
def test_what_is_set_around_the_call_changes_nothing(bands, start, around):
    options = {"start": start, "count": 2, "ascent": Ascent(noise=0.1)}
    expected = fool(bands, range(4), **options)
    with surrounded(around):
        came = fool(bands, range(4), **options)
    assert same(came, expected)
    assert torch.equal(came.confidence, expected.confidence)


@contextmanager
def surrounded(around):
    """Within a context, a default type or a default device."""
    try:
        if around == "meta":
            torch.set_default_device("meta")
        elif isinstance(around, str):
            torch.set_default_dtype(getattr(torch, around))
        with nullcontext() if isinstance(around, str) else around():
            yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
