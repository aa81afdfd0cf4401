import dataclasses
import math
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from conftest import (
    After,
    Bands,
    InPlace,
    NaNAfter,
    Restless,
    Viewing,
    same_state,
    state_of,
)
from deceive.common.errors import InputError, NoGradientWarning
from deceive.common.levels import from_levels, to_levels
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.objectives import OBJECTIVES
from deceive.fooling.result import FoolingResult, Progress
from deceive.fooling.rules import RULES
from deceive.fooling.starts import STARTS, begin
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import logits_of
from deceive.storage.models import load_network

pytestmark = pytest.mark.usefixtures("one_thread")


@st.composite
def all_bounds(draw):
    """Bounds that float32 can tell 256 levels apart in."""
    low, width = draw(st.floats(-300, 300)), draw(st.floats(0.1, 500))
    return low, low + width


def reread(result: FoolingResult, row: int, path) -> torch.Tensor:
    """Image `row` saved as a PNG by Pillow and read back: (1, C, H, W) within the bounds."""
    pixels = result.levels[row].permute(1, 2, 0).numpy()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(path)
    with Image.open(path) as image:
        levels = torch.from_numpy(np.array(image))
    levels = levels.reshape(1, *levels.shape[:2], -1)
    low, high = result.bounds
    return levels.permute(0, 3, 1, 2).float() / 255 * (high - low) + low


def confidence_alone(model: nn.Module, image: torch.Tensor, target: int) -> float:
    """What the user's own network says of one image, in evaluation mode and float32."""
    with torch.no_grad():
        return model.eval()(image).softmax(1)[0, target].item()


def same(one: FoolingResult, other: FoolingResult) -> bool:
    return (
        torch.equal(one.levels, other.levels)
        and torch.equal(one.targets, other.targets)
        and torch.equal(one.fooled, other.fooled)
        and torch.equal(one.steps, other.steps)
        and torch.allclose(one.confidence, other.confidence, atol=1e-6)
    )


def convolutional(shape=(1, 8, 8), n_classes=5, seed=0) -> nn.Module:
    """A small network that isn't linear, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(shape[0], 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(8 * (shape[1] - 2) * (shape[2] - 2), n_classes),
        )
        network[-1].weight.data *= 20  # sure of itself
    network.image_shape = shape
    return network


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


# The model is not touched.


@pytest.mark.usefixtures("precision", "untouched_rng")
@pytest.mark.parametrize("trajectory", [False, True])
def test_the_model_is_untouched(trajectory):
    model = Restless()
    before = state_of(model)
    fool(model, range(4), count=3, steps=20, chunk=5, trajectory=trajectory)
    assert same_state(before, state_of(model))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_model_is_untouched_when_interrupted(error):
    def interrupt(progress):
        assert same_state(before, state_of(model))
        if progress.image_steps > 20:
            raise error

    model = Restless()
    before = state_of(model)
    with pytest.raises(error):
        fool(model, range(4), count=3, callback=interrupt, confidence=0.9999)
    assert same_state(before, state_of(model))


def test_the_model_is_untouched_when_it_is_refused():
    model = Restless()
    before = state_of(model)
    for bad in ({"targets": 4}, {"targets": 0, "shape": (1, 5, 5)}):
        with pytest.raises(InputError):
            fool(model, **bad)
    assert same_state(before, state_of(model))


def test_a_frozen_copy_does_the_work_itself(bands):
    start = torch.rand(4, 1, 4, 4)
    expected = fool(bands, range(4), start=start)
    frozen = FrozenCopy(bands, start[:1])
    with torch.no_grad():
        bands.weight.zero_()
    came = fool(frozen, range(4), start=start)
    assert torch.equal(came.levels, expected.levels)
    assert torch.equal(came.confidence, expected.confidence)
    assert fool(frozen, range(4)).levels.shape == (4, 1, 4, 4)
    with pytest.raises(InputError, match=r"frozen copy for images of \(1, 5, 5\), got \(1, 4, 4\)"):
        fool(frozen, range(4), shape=(1, 5, 5))


def test_a_model_in_training_mode_answers_in_evaluation_mode():
    model = Restless()
    result = fool(model, range(4), confidence=0.9)
    assert model.training
    assert model.dropout.training
    asked = logits_of(model, result.images).softmax(1).gather(1, result.targets[:, None])
    torch.testing.assert_close(asked.squeeze(1), result.confidence)


@pytest.mark.parametrize("model", [Viewing(), InPlace()], ids=["view", "in place"])
def test_a_users_own_module_needs_no_wrapper(model):
    options = {"steps": 5, "ascent": Ascent(step_size=0.005), "confidence": 0.999}
    result = fool(model, range(3), count=2, chunk=4, **options)
    again = fool(model, range(3), count=2, start=result.images, **options)
    assert (again.confidence > result.confidence).all()


def test_a_start_in_channels_last_suits_view():
    start = torch.rand(3, 2, 6, 6).to(memory_format=torch.channels_last)
    assert len(fool(Viewing(), range(3), start=start, steps=2)) == 3


def test_gradients_may_be_off_around_the_call(bands):
    with torch.no_grad():
        assert fool(bands, range(4)).fooled.all()


# What is not accepted.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": 4}, "targets: expected classes 0 to 3 of the model's 4, got 4"),
        ({"targets": [0, 99, 1]}, "targets: expected classes 0 to 3 of the model's 4, got 99"),
        ({"targets": -1}, r"targets: expected .* from 0 up, got -1"),
        ({"targets": [0, -2]}, r"targets: expected .* from 0 up, got \[0, -2\]"),
        ({"targets": 1.5}, r"targets: expected whole numbers, got torch\.float32"),
        ({"targets": [0.0, 1.0]}, r"targets: expected whole numbers, got torch\.float32"),
        ({"targets": torch.tensor([math.nan])}, "targets: expected whole numbers"),
        ({"targets": True}, r"targets: expected whole numbers, got torch\.bool"),
        ({"targets": []}, "targets: expected at least one class, got none"),
        ({"targets": torch.zeros(0, dtype=torch.int64)}, "targets: expected at least one class"),
        ({"targets": [[0, 1]]}, "targets: expected a list of classes"),
        ({"targets": [[0], [1, 2]]}, "targets: expected classes, got"),
        ({"targets": None}, "targets: expected classes, got None"),
        ({"targets": "5"}, "targets: expected classes, got '5'"),
        ({"confidence": 0}, "confidence: expected a number between 0 and 1, got 0"),
        ({"confidence": 1}, "confidence: expected a number between 0 and 1, got 1"),
        ({"confidence": 1.5}, "confidence: expected a number between 0 and 1, got 1.5"),
        ({"confidence": -0.1}, "confidence: expected a number between 0 and 1, got -0.1"),
        ({"confidence": math.nan}, "confidence: expected a number between 0 and 1, got nan"),
        ({"confidence": [0.5, 1]}, "confidence: expected a number between 0 and 1, got 1"),
        (
            {"confidence": [0.9, 0.5]},
            r"confidence: expected one, or several in ascending order, got \[0\.9, 0\.5\]",
        ),
        ({"confidence": (0.9, 0.9)}, "confidence: expected one, or several in ascending order"),
        ({"confidence": []}, r"confidence: expected one, or several in ascending .* got \[\]"),
        ({"bounds": (1, 0)}, r"bounds: expected \(low, high\) with low < high, got \(1, 0\)"),
        ({"bounds": (1, 1)}, r"bounds: expected \(low, high\) with low < high, got \(1, 1\)"),
        ({"bounds": (0, math.nan)}, "bounds: expected .* got .*nan"),
        ({"bounds": (-math.inf, 0)}, "bounds: expected .* got .*inf"),
        ({"start": torch.rand(1, 1, 0, 4)}, "start: expected a whole number of at least 1, got 0"),
        ({"steps": -1}, "steps: expected a whole number of at least 0, got -1"),
        ({"steps": 2.5}, "steps: expected a whole number of at least 0, got 2.5"),
        ({"count": 0}, "count: expected a whole number of at least 1, got 0"),
        ({"chunk": 0}, "chunk: expected a whole number of at least 1, got 0"),
        ({"start": "plasma"}, "start: expected one of uniform, .*; got 'plasma'"),
        ({"start": None}, "start: expected a name or a tensor, got NoneType"),
        ({"start": np.zeros((1, 1, 4, 4))}, "start: expected a name or a tensor, got ndarray"),
        ({"start": torch.zeros(3, 1, 4, 4)}, r"start: expected float images .* N = 1 or 2, got "),
        ({"start": torch.zeros(0, 1, 4, 4)}, r"start: expected float images .* N = 1 or 2, got "),
        ({"start": torch.zeros(1, 4, 4)}, r"start: expected float images \(N, C, H, W\)"),
        ({"start": torch.zeros(2, 1, 4, 4).byte()}, r"start: expected float .* torch\.uint8"),
        ({"start": torch.ones(2, 1, 4, 4) * 1.1}, "start: expected pixels within 0 to 1, got 1.1"),
        ({"start": -torch.ones(2, 1, 4, 4)}, "start: expected pixels within 0 to 1, got -1"),
        ({"start": torch.full((2, 1, 4, 4), math.nan)}, "start: expected pixels .* got nan"),
        ({"start": torch.zeros(2, 1, 5, 5)}, r"images of shape \(2, 1, 5, 5\); it raised"),
        ({"objective": "love"}, "objective: expected one of log_odds, .*; got 'love'"),
        (
            {"objective": lambda v, t: v.sum()},
            r"objective: .*per image, \(2,\), got \(\)",
        ),
        ({"objective": lambda v, t: v}, r"objective: .*per image, \(2,\), got \(2, 4\)"),
        ({"objective": lambda v, t: 0.0}, r"objective: .*per image, \(2,\), got float"),
        ({"shape": (1, 28, 28)}, r"takes images of shape \(2, 1, 28, 28\); it raised"),
        ({"shape": (3, 4, 4)}, r"takes images of shape \(2, 3, 4, 4\); it raised"),
    ],
)
def test_bad_input_is_one_clear_value_error(bands, options, message):
    with pytest.raises(ValueError, match=message) as raised:
        fool(bands, **{"targets": [0, 1], **options})
    assert raised.type is InputError
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "expected a torch.nn.Module, got NoneType"),
        (lambda images: images.flatten(1), "expected a torch.nn.Module, got function"),
        (After(lambda logits: logits * torch.nan), "expected finite logits"),
        (After(lambda logits: logits[:, 0]), r"logits of shape \(N, K\) with K ≥ 2, got \(2,\)"),
        (After(lambda logits: [logits]), "logits of shape .* got list"),
        (After(lambda logits: logits[:1]), "expected logits for 2 images, got 1 rows"),
        (After(lambda logits: logits.detach()), "expected logits with a gradient"),
        (NaNAfter(calls=0), "expected finite logits, got NaN or infinity"),
        (NaNAfter(calls=1), "expected finite logits, got NaN or infinity"),
        (NaNAfter(calls=25), "expected finite logits, got NaN or infinity"),
    ],
)
def test_a_model_that_will_not_do_is_one_clear_value_error(model, message, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "float32")
    seen = []
    with pytest.raises(ValueError, match=f"^model: .*{message}") as raised:
        fool(
            model,
            [0, 1],
            shape=(1, 4, 4),
            start="blank",
            ascent=Ascent(step_size=0.01),
            callback=seen.append,
        )
    assert raised.type is InputError
    assert len(seen) == (5 if isinstance(model, NaNAfter) and model.left == 25 else 0)


def test_a_channel_too_many_for_a_convolution():
    with pytest.raises(ValueError, match=r"images of shape \(2, 3, 8, 8\); it raised .*3 channels"):
        fool(convolutional(), 0, shape=(3, 8, 8))


@pytest.mark.usefixtures("precision")
def test_probabilities_are_said_and_fool_all_the_same(tmp_path, bands):
    model = After(lambda logits: logits.exp() / logits.exp().sum(1, keepdim=True))
    with pytest.warns(UserWarning, match="probabilities") as caught:
        result = fool(model, range(4), start="blank", ascent=Ascent(step_size=0.25))
    assert [str(warning.filename) for warning in caught] == [__file__]
    assert same(result, fool(bands, range(4), start="blank", ascent=Ascent(step_size=0.25)))
    image = reread(result, 2, tmp_path / "image.png")
    assert model(image)[0, 2] >= 0.99


# Where there is no gradient.


class Levels(nn.Module):
    """Rounds pixels to five levels: its gradient is 0 wherever it is."""

    def forward(self, images):
        return (images * 4).round() / 4


def steep(logits):
    """A softmax that can't be reached, so sharp that float32 rounds it to 0 and 1."""
    return torch.stack([row.softmax(0) for row in 200 * logits])


@pytest.mark.usefixtures("precision")
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("chunk", [3, 250])
def test_a_gradient_of_zero_is_said(rule, chunk):
    model, start = nn.Sequential(Levels(), Bands()), Bands().best(2)
    options = {"start": start, "steps": 7, "ascent": Ascent(rule=rule), "chunk": chunk}
    with pytest.warns(NoGradientWarning, match=r"^6 of 8 candidates \(75%\) stalled") as said:
        result = fool(model, range(4), count=2, **options)
    assert [str(warning.filename) for warning in said] == [__file__]
    assert result.fooled.tolist() == [False] * 4 + [True] * 2 + [False] * 2
    assert torch.equal(result.stalled, ~result.fooled)
    assert result.stalled.dtype == torch.bool


@pytest.mark.usefixtures("precision")
def test_a_gradient_that_has_vanished_is_said(bands):
    with (
        pytest.warns(UserWarning, match="gradient vanishes where float32 rounds"),
        pytest.warns(NoGradientWarning, match="stalled"),
    ):
        result = fool(After(steep), range(4), count=2, steps=30)
    assert 0 < result.fooling_rate < 1
    assert torch.equal(result.stalled, ~result.fooled)


@pytest.mark.parametrize("noise", [0, 0.1])
def test_who_is_out_of_steps_has_not_stalled(bands, noise):
    for steps in (0, 1, 20):
        result = fool(bands, range(4), steps=steps, confidence=0.9999, ascent=Ascent(noise=noise))
        assert not result.fooled.any()
        assert not result.stalled.any()
        assert result.caution is None


class Pooled(nn.Module):
    """Sees the lightest of every four pixels: the others have no gradient."""

    def forward(self, images):
        return 2 * F.max_pool2d(images, 2).flatten(1)


class Cropped(nn.Module):
    """Sees a corner alone."""

    def forward(self, images):
        return 2 * images[..., :2, :2].flatten(1)


@pytest.mark.parametrize("model", [Pooled(), Cropped()])
def test_one_that_looks_at_few_pixels_does_not_stall(model):
    result = fool(model, range(4), shape=(1, 4, 4), steps=3, confidence=0.9)
    assert not result.fooled.any()
    assert not result.stalled.any()


def test_at_each_waypoint_those_have_stalled_that_did_not_get_there(bands):
    model, start = nn.Sequential(Levels(), bands), bands.best(2) * 0.75
    with pytest.warns(NoGradientWarning):
        result = fool(model, 2, start=start, steps=5, confidence=(0.9, 0.995))
    assert result.stalled.all()
    assert result.waypoints[0].fooled.all()
    assert not result.waypoints[0].stalled.any()


@pytest.mark.shipped
@pytest.mark.parametrize("name", ["fast", "study", "resist", "draw", "judge"])
@pytest.mark.parametrize("start", ["uniform", "smooth", "squares"])
def test_no_shipped_network_stalls(name, start):
    result = fool(load_network(name), [3, 8], start=start, steps=3, confidence=0.999999)
    assert not result.stalled.any()


@pytest.mark.shipped
def test_from_black_the_study_network_has_no_gradient_at_all():
    # None of its ReLUs is on, and so no step is taken: the candidate says nothing of the network.
    with pytest.warns(NoGradientWarning, match=r"1 of 1 candidates \(100%\) stalled"):
        result = fool(load_network("study"), 3, start="blank", steps=3)
    assert not result.levels.any()
    result = fool(load_network("study"), 3, start="blank", ascent=Ascent(noise=0.1))
    assert result.fooled.all()


@pytest.mark.usefixtures("precision")
def test_a_gradient_that_is_not_finite_is_not_blamed_on_the_logits():
    model = nn.Sequential(Rooted(), Bands())
    with pytest.raises(InputError, match=r"^model: expected a finite gradient in the image, got "):
        fool(model, [0, 1], shape=(1, 4, 4), start="blank")
    assert fool(model, [0, 1], shape=(1, 4, 4), start="gaussian", steps=3).steps.sum() > 0


class Rooted(nn.Module):
    """The root of each pixel, whose gradient at 0 is infinite."""

    def forward(self, images):
        return images.sqrt()


@pytest.mark.parametrize(
    "change", [lambda logits: logits.detach(), lambda logits: logits.round().long().float()]
)
def test_a_gradient_that_is_cut_off_is_one_clear_error(change):
    with pytest.raises(InputError, match=r"^model: expected logits with a gradient .* black box"):
        fool(After(change), [0, 1], shape=(1, 4, 4))


def test_so_is_one_that_goes_elsewhere(bands):
    class Elsewhere(nn.Module):
        def forward(self, images):
            return bands(images.to(torch.uint8).float())  # not a module of its own: not frozen

    with pytest.raises(InputError, match=r"^model: expected logits with a gradient .* black box"):
        fool(Elsewhere(), [0, 1], shape=(1, 4, 4))


def test_a_result_is_shown_in_a_line(bands):
    result = fool(bands, range(4), count=2, start="blank", trajectory=True)
    assert repr(result) == "FoolingResult(8 candidates, 8 fooled, median steps 8)"
    assert repr(result.trajectories[0]) == "Trajectory(9 frames)"
    with pytest.warns(NoGradientWarning):
        result = fool(nn.Sequential(Levels(), bands), range(4), shape=(1, 4, 4), steps=1)
    assert str(result) == "FoolingResult(4 candidates, 0 fooled, 4 stalled)"


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


# Levels.


@given(all_bounds())
def test_levels_go_to_pixels_and_back(bounds):
    levels = torch.arange(256).to(torch.uint8)
    images = from_levels(levels, bounds)
    assert images.dtype == torch.float32
    assert images.min() >= bounds[0]
    assert images.max() <= bounds[1]
    assert torch.equal(to_levels(images, bounds), levels)
    assert levels[255] == 255


@given(all_bounds(), st.integers(0, 2**32))
def test_pixels_go_to_the_nearest_level(bounds, seed):
    low, high = bounds
    shares = torch.rand(100, generator=torch.Generator().manual_seed(seed))
    images = (shares * (high - low) + low).clamp(low, high)
    before = images.clone()
    error = (from_levels(to_levels(images, bounds), bounds) - images).abs().max().item()
    assert error <= (high - low) / 255 * 0.5 + 1e-4 * abs(low) + 1e-4 * (high - low)
    assert torch.equal(images, before)


def test_levels_of_the_ends():
    assert to_levels(torch.tensor([0.0, 0.5, 1.0])).tolist() == [0, 128, 255]
    assert to_levels(torch.tensor([-1.0, 1.0]), (-1, 1)).tolist() == [0, 255]
    assert from_levels(torch.tensor([0, 255], dtype=torch.uint8), (-1, 1)).tolist() == [-1, 1]
