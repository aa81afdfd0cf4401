"""Every public function says in a sentence that a value is of a wrong type."""

import inspect
import itertools
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

import deceive
from conftest import Bands
from deceive.common.errors import InputError
from deceive.fooling.ascent import Ascent, Schedule
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_card
from deceive.training.calibrating import calibrate
from deceive.training.fit import fit
from deceive.training.settings import TrainingSettings
from worlds.audits import TINY, band_data

WEIRD = [
    *(None, True, 3, -1, 2.5, float("nan"), float("inf"), 10**5000, 1j, Fraction(1, 2)),
    *("x", "", "3", b"x", Decimal("0.5"), Path("x"), object(), slice(1), ..., int, len),
    *([], [1], [None], ["a"], (1, 2, 3), (0, 1), (1, 2, 3, 4), {}, {"a": 1}, set(), range(3)),
    *(np.float32(0.5), np.zeros(2), np.array(["a"]), nn.Linear, nn.Linear(1, 1), lambda: None),
    *(torch.tensor(3), torch.tensor(True), torch.zeros(2), torch.zeros(2, 1, 4, 4)),
    *(torch.zeros(2, 1, 4, 4).byte(), torch.zeros(2, 1, 4, 4, device="meta")),
    *(torch.zeros(2, 2).to_sparse(), torch.zeros(2, dtype=torch.complex64), torch.zeros(0)),
]
IMAGES, LABELS = torch.rand(4, 1, 4, 4), torch.arange(4)
STEP = Ascent(schedule=Schedule(steps=1))

# Functions with arguments that they take, and finish quickly with.
CALLS = {
    deceive.fool: {"model": Bands(), "targets": [0, 1], "steps": 1, "count": 1},
    deceive.climb: {
        "model": Bands(),
        "images": IMAGES,
        "targets": LABELS,
        "ascent": STEP,
        "steps": 1,
    },
    deceive.draw: {
        "network": Bands(),
        "targets": 0,
        "start": IMAGES[:1],
        "ascent": STEP,
        "polish": None,
        "accepted": None,
    },
    deceive.agreement: {"judge": Bands(), "images": IMAGES, "targets": LABELS},
    deceive.accuracy: {"model": Bands(), "images": IMAGES, "labels": LABELS},
    deceive.load_card: {"name": "fast"},
    deceive.load_network: {"name": "fast"},
    deceive.load_data: {"folder": "nowhere"},
    deceive.open_data: {"place": "nowhere"},
    deceive.as_data: {"data": (IMAGES, LABELS)},
    deceive.Preparation: {},
    deceive.save_network: {
        "network": nn.Linear(1, 1),
        "path": Path("nowhere/x.safetensors"),
        "card": load_card("fast"),
    },
    # With an objective that there isn't: what it would take is a matter of seconds.
    deceive.export_onnx: {"network": Bands(), "path": "nowhere/x.onnx", "objective": "love"},
    fit: {
        "network": nn.Sequential(nn.Flatten(), nn.Linear(16, 4)),
        "images": IMAGES,
        "labels": LABELS,
        "settings": TrainingSettings(batch_size=2, epochs=1),
    },
    calibrate: {
        "network": Classifier("fast", 4),
        "images": torch.rand(4, 1, 28, 28),
        "labels": LABELS,
    },
    deceive.rounds: {"data": 1, "run": 1, "settings": 1, "judge": 1, "task": 1},
    deceive.audit: {
        "model": Bands(sure=12),
        "data": band_data(),
        "judge": None,
        "settings": TINY,
        "budget": 1e-9,
    },
    deceive.Classifier: {"architecture": "fast"},
    deceive.Guarded: {"guard": Classifier("guard", 5), "readers": [Classifier("reader", 4)]},
    deceive.RubbishSet: {"levels": torch.zeros(2, 1, 4, 4).byte()},
    deceive.RubbishSet.of_noise: {"count": 2, "shape": (1, 4, 4)},
    band_data().first: {"count": 2},
    deceive.Ascent: {},
    deceive.Schedule: {"steps": 2},
    deceive.TrainingSettings: {},
    deceive.EmergingSettings: {},
    deceive.ResistingSettings: {},
    deceive.RetrainingSettings: {},
    deceive.AuditSettings: {},
    deceive.Scaling: {},
    deceive.Interface: {},
}


def names_of(function) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "cls"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Some of the values are paths that can be written to."""
    monkeypatch.chdir(tmp_path)


# Whose errors are their own: whatever is called with something raises as it likes.
CALLED = ("callback", "objective", "task")


def outcome_of(function, name, value) -> str | None:
    """The sentence that a call with this value ends in; None where it is taken."""
    try:
        function(**CALLS[function] | {name: value})
    except InputError as error:
        return str(error)
    except ValidationError as error:  # a `ValueError` of pydantic's, which names the field
        return repr(error.errors(include_url=False)[0]["msg"])
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", CALLS, ids=lambda function: function.__qualname__)
@settings(max_examples=15)
@given(drawn=st.data())
def test_a_value_of_a_wrong_type_is_one_clear_error(function, drawn):
    name = drawn.draw(st.sampled_from(names_of(function)))
    value = drawn.draw(st.sampled_from(WEIRD))
    if (name in CALLED and callable(value)) or (function is fit and isinstance(value, nn.Module)):
        return
    if function is deceive.audit and name in ("budget", "settings"):
        value = drawn.draw(st.sampled_from(["x", object(), (1, 2)]))  # others would take a while
    said = outcome_of(function, name, value)
    assert said is None or ("\n" not in said and len(said) < 600)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("confidence", "high", "confidence: expected a number, got 'high'"),
        ("confidence", None, "confidence: expected a number, got None"),
        ("confidence", range(10**30), "confidence: expected numbers, got range"),
        ("confidence", ["high"], "confidence: expected a number, got 'high'"),
        ("steps", None, "steps: expected a whole number of at least 0, got None"),
        ("seed", None, "seed: expected a whole number from 0 to 18446744073709551615, got None"),
        ("seed", 2**64, "seed: expected a whole number from 0 to 18446744073709551615, got "),
        ("ascent", "sign", "ascent: expected an Ascent, got 'sign'"),
        ("objective", 3, "objective: expected a name or a function, got 3"),
        ("bounds", 1, "bounds: expected (low, high), two numbers, got 1"),
        ("bounds", "01", "bounds: expected (low, high), two numbers, got '01'"),
        ("bounds", iter([0, 1]), "bounds: expected (low, high), two numbers, got list_iterator"),
        ("bounds", range(10**30), "bounds: expected (low, high), two numbers, got range"),
        ("bounds", (0, 10**5000), "bounds: expected (low, high), two numbers, got tuple"),
        ("bounds", range(2), ""),
        ("bounds", {0, 1}, "bounds: expected (low, high), two numbers, got set"),
        ("bounds", {0: 1, 1: 0}, "bounds: expected (low, high), two numbers, got dict"),
        ("shape", {1, 4, 5}, "shape: expected (C, H, W), three whole numbers, got set"),
        ("trajectory", {0, 1}, ""),
        ("trajectory", range(10**30), "trajectory: expected True, False or numbers of steps, got"),
        ("shape", (4, 4), "shape: expected (C, H, W), three whole numbers, got tuple"),
        ("shape", (1, 4, 0), "shape: expected a whole number of at least 1, got 0"),
        ("trajectory", 5, "trajectory: expected True, False or numbers of steps, got 5"),
        ("trajectory", [0.5], "trajectory: expected numbers of steps, got 0.5"),
        ("callback", 3, "callback: expected a function, got 3"),
        ("targets", 10**30, "targets: expected classes, got 10^30"),
        ("targets", object(), "targets: expected classes, got object"),
        ("targets", range(10**12), "targets: expected at most"),
    ],
)
def test_the_sentence_says_what_was_expected_and_what_came(name, value, said):
    call = {"model": Bands(), "targets": 0, "steps": 1} | {name: value}
    if not said:
        deceive.fool(**call)
        return
    with pytest.raises(InputError) as raised:
        deceive.fool(**call)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (deceive.AuditSettings, "ways"),
        (deceive.AuditSettings, "starts"),
        (deceive.EmergingSettings, "shown"),
        (deceive.ResistingSettings, "starts"),
        (deceive.RetrainingSettings, "shown"),
        (deceive.Scaling, "mean"),
        (deceive.Scaling, "bounds"),
        (deceive.Preparation, "size"),
    ],
)
@pytest.mark.parametrize(
    "endless",
    [range(10**12), itertools.repeat("sign"), ["sign"] * 10**6],
    ids=["huge", "endless", "long"],
)
def test_a_setting_that_lists_is_not_read_to_its_end(function, name, endless):
    assert "expected" in (outcome_of(function, name, endless) or "")


def test_what_is_declared_is_named_in_the_signature():
    with pytest.raises(TypeError, match="missing"):
        deceive.agreement(Bands())
    for function in (deceive.fool, deceive.audit, deceive.agreement):
        assert function.__doc__
        assert "self" not in names_of(function)
    assert names_of(deceive.agreement) == ["judge", "images", "targets"]


def test_as_many_labels_as_images():
    with pytest.raises(InputError, match="targets: expected 4, one for each of the images, got 3"):
        deceive.agreement(Bands(), IMAGES, LABELS[:3])


def test_results_and_data_are_shown_in_a_line():
    data = band_data()
    assert repr(data) == "Dataset(bands: 40 + 80 + 60 images of (1, 4, 4), 4 classes)"
    assert str(data.test) == "Split(60 images of (1, 4, 4))"
