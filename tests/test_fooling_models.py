"""The models that `fool` takes: none is touched, and what will not do is said."""

import math

import numpy as np
import pytest
import torch

from conftest import (
    After,
    InPlace,
    NaNAfter,
    Restless,
    Viewing,
    same_state,
    state_of,
)
from deceive.common.errors import InputError
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import logits_of
from worlds.fooling import convolutional, reread, same

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
        ({"confidence": 0}, "confidence: expected a number above 0 and below 1, got 0"),
        ({"confidence": 1}, "confidence: expected a number above 0 and below 1, got 1"),
        ({"confidence": 1.5}, "confidence: expected a number above 0 and below 1, got 1.5"),
        ({"confidence": -0.1}, "confidence: expected a number above 0 and below 1, got -0.1"),
        ({"confidence": math.nan}, "confidence: expected a number above 0 and below 1, got nan"),
        ({"confidence": [0.5, 1]}, "confidence: expected a number above 0 and below 1, got 1"),
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
