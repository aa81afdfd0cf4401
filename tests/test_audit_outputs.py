"""Scores are found in whatever a model gives, and read as logits of the data's classes."""

import re
from collections import namedtuple
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from conftest import After, Bands
from deceive.auditing import Interface, audit
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.wants import Wants
from deceive.auditing.orders import another_order
from deceive.auditing.verdict import verdict
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset
from worlds.audits import TINY, Relabelled, band_data, band_split

LITTLE = TINY.model_copy(
    update={"candidates": 4, "steps": 10, "curve_candidates": 2, "searched": 2, "queries": 100}
)


@pytest.fixture(scope="module")
def two() -> Dataset:
    bands = Bands(n_classes=2)
    return replace(band_data(bands), class_names=("dark", "bright"))


@pytest.fixture(scope="module")
def expected(data) -> Tensor:
    return Bands()(data.test.images).detach()


@dataclass
class Output:
    """As transformers' `ModelOutput` is."""

    logits: Tensor
    loss: Tensor | None = None


class Attributes(dict):
    """A mapping that is asked by attributes, and has none it doesn't hold."""

    __getattr__ = dict.__getitem__


Heads = namedtuple("Heads", "features logits")

WAYS = {
    "dataclass": (Output, None),
    "object": (lambda x: SimpleNamespace(logits=x, extra=3), None),
    "one in a tuple": (lambda x: (x,), None),
    "beside None": (lambda x: (x, None), None),
    "namedtuple": (lambda x: Heads(x.repeat(1, 2), x), "logits"),
    "two by attributes": (lambda x: Attributes(hidden=x.repeat(1, 3), logits=x), "logits"),
    "logits of two": (lambda x: {"probabilities": x.softmax(1), "logits": x}, "logits"),
    "before a softmax": (lambda x: (x.softmax(1), x), "1"),
    "nested": (lambda x: ({"logits": x}, [x.repeat(1, 2)]), "0.logits"),
    "1×1": (lambda x: x[:, :, None, None], None),
    "1×1, channels last": (lambda x: x[:, None, None, :], None),
}


@pytest.mark.parametrize("black", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_scores_are_found_wherever_they_are(data, expected, way, black):
    wrap, output = WAYS[way]
    model = After(wrap)
    subject = meet(load_model((lambda images: model(images)) if black else model), data)
    assert subject.loaded.output == output
    assert (subject.module is None) == black
    torch.testing.assert_close(subject.logits(data.test.images), expected)
    if subject.module is not None:
        torch.testing.assert_close(subject.module(data.test.images).detach(), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.tolist(),
        lambda x: x.numpy().astype(np.float64),
        lambda x: [row.numpy() for row in x],
        lambda x: [dict(zip(("0", "10", "2", "1"), row, strict=True)) for row in x.tolist()],
    ],
)
def test_a_callable_may_give_arrays_and_lists(data, expected, change):
    subject = meet(load_model(lambda images: change(Bands()(images).detach())), data)
    found = subject.logits(data.test.images)
    # Labels that are numbers are sorted as such: 0, 1, 2, 10.
    labelled = isinstance(change(expected)[0], dict)
    torch.testing.assert_close(found, expected[:, [0, 3, 2, 1]] if labelled else expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :1], "data's 4 classes, got one score per image, .* with --data DIR"),
        (lambda x: x[:, :3], "at least 4 outputs, .* got 3; name images .* with --data DIR"),
        (lambda x: (x[:, :2], x[:, :3]), r"0 \(N, 2\), 1 \(N, 3\); choose .* --output NAME, .*DIR"),
        (lambda x: x.argmax(1), "one whole number per image, .* predict_proba gives, before the"),
        (lambda x: x.argmax(1).numpy(), "one whole number per image, .* predict_proba gives"),
        (lambda x: x.argmax(1).float(), "got one score per image|whole number per image"),
        (lambda x: np.array(["a"] * len(x)), "got labels; return a callable .* predict_proba"),
        (lambda x: x[:, :, None].expand(-1, -1, 3), r"got \(32, 4, 3\); .* --output NAME"),
        (lambda x: x.sum(0), r"a row for each image, got \(4,\); return a callable"),
        (lambda x: None, "got nothing"),
        (lambda x: "cat", "got str; return a callable that gives"),
        (lambda x: 1 / 0, "it raised ZeroDivisionError.* --size, .* --preprocess, or .* --data"),
    ],
)
@pytest.mark.parametrize("black", [False, True])
def test_what_is_no_scores_is_refused_with_a_remedy(data, change, message, black):
    model = After(lambda logits: change(logits.detach()))
    with pytest.raises(InputError, match=message):
        meet(load_model((lambda images: model(images)) if black else model), data)


SINGLE = {
    "logit": (lambda x: x, "logits"),
    "logit (N, 1)": (lambda x: x[:, None], "logits"),
    "sigmoid": (torch.sigmoid, "logits"),
    "sigmoid (N, 1)": (lambda x: x[:, None].sigmoid(), "logits"),
    "a sigmoid without its column": (lambda x: x[:, None].sigmoid().squeeze(1), "logits"),
    "of a softmax": (lambda x: torch.stack([0 * x, x], 1).softmax(1)[:, 1], "probabilities"),
}


@pytest.mark.parametrize("way", SINGLE)
def test_one_score_is_enough_for_two_classes(two, way):
    change, answers = SINGLE[way]
    bands = Bands(n_classes=2)

    class Single(nn.Module):
        def forward(self, images):
            logits = bands(images)
            return change(logits[:, 1] - logits[:, 0])

    both = bands(two.test.images).softmax(1).detach()
    subject = meet(load_model(Single()), two)
    assert (subject.answers, subject.n_outputs, subject.rubbish_class) == (answers, 2, None)
    assert any("It returns one score per image" in note for note in subject.notes)
    torch.testing.assert_close(subject.logits(two.test.images).softmax(1), both)
    torch.testing.assert_close(subject.module(two.test.images).softmax(1).detach(), both)
    black = meet(load_model(lambda images: Single()(images).detach().numpy()), two)
    torch.testing.assert_close(black.logits(two.test.images).softmax(1), both)
    if "(N, 1)" in way:
        report = audit(Single(), two, judge=None, settings=LITTLE)
        assert report.complete
        assert report.clean.accuracy == 1
        assert report.clean.mean_confidence == pytest.approx(both.amax(1).mean().item(), abs=1e-6)


@pytest.mark.parametrize("reached", [True, False])
def test_a_sigmoid_per_class_has_none_of_them_as_the_rubbish_class(data, reached):
    model = After(lambda logits: (logits - 4).sigmoid())
    logits = Bands()(data.test.images).detach() - 4
    subject = meet(load_model(model if reached else (lambda x: model(x).detach())), data)
    assert subject.answers == ("logits" if reached else "sigmoids")
    assert (subject.n_outputs, subject.rubbish_class) == (5, 4)
    assert any("“none of them”" in note for note in subject.notes)
    found = subject.logits(data.test.images)
    torch.testing.assert_close(found[:, :4], logits, atol=1e-4, rtol=1e-4)
    # By hand: e^x of a class, of all of them and of "none of them", whose logit is 0.
    by_hand = logits.exp() / (1 + logits.exp().sum(1, keepdim=True))
    torch.testing.assert_close(found.softmax(1)[:, :4], by_hand, atol=1e-4, rtol=1e-4)
    assert (found.softmax(1)[:, :4] <= logits.sigmoid() + 1e-5).all()
    # With a rubbish class of its own there is no other.
    declared = meet(
        load_model(lambda x: nn.functional.pad(model(x).detach(), (0, 1))),
        data,
        Interface(rubbish_class=4),
    )
    assert (declared.n_outputs, declared.rubbish_class) == (5, 4)
    # Small logits aren't taken for it.
    small = meet(load_model(lambda images: Bands()(images).detach() / 20), data)
    assert (small.answers, small.n_outputs) == ("logits", 4)


@pytest.mark.parametrize("whole", [100, 30, 255])
def test_per_cent_and_votes_are_divided_by_their_sum(data, whole):
    model = Bands(sure=12)

    def shares(images):
        found = model(images).softmax(1).detach() * whole
        votes = found.floor()
        return votes + nn.functional.pad(whole - votes.sum(1, True), (3, 0))

    subject = meet(load_model(shares), data)
    assert subject.answers == "probabilities"
    assert f"sum to {whole} for each image" in " ".join(subject.notes)
    found = subject.logits(data.test.images).softmax(1)
    torch.testing.assert_close(found, shares(data.test.images) / whole)


def named(model, *names):
    """A loaded model whose outputs have names."""
    return Loaded("named", "callable", model, wants=Wants(class_names=names))


NAMES = ("ant", "polar_bear", "cat", "dog")


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (("dog", "cat", "Polar Bear", "ANT"), (3, 2, 1, 0)),
        (("tench, Tinca tinca", "pismire, ant", "polar bear, ice bear", "dog", "cat", "emu"), None),
        (NAMES, (0, 1, 2, 3)),
        (("dog", "cat", "hound", "ant"), (3, 2, 1, 0)),
        (("0", "1", "2", "3"), (0, 1, 2, 3)),
        (("a", "b", "c", "d"), (0, 1, 2, 3)),
    ],
)
def test_outputs_are_matched_to_the_classes_by_name(data, expected, names, order):
    data = replace(data, class_names=NAMES)
    order = order or (1, 2, 4, 3)
    columns = torch.empty(len(data.test), len(names)).fill_(-3.0)

    def model(images):
        scores = torch.full((len(images), len(names)), -3.0)
        scores[:, list(order)] = Bands()(images).detach()
        return scores

    subject = meet(named(model, *names), data)
    found = subject.logits(data.test.images)
    torch.testing.assert_close(found[:, :4], expected)
    assert found.shape == columns.shape
    said = " ".join(subject.notes)
    assert ("matched to the data's 4 classes by name" in said) == (order != (0, 1, 2, 3))
    assert ("Its class “hound” is taken for “polar_bear” in the data." in said) == (
        "hound" in names
    )
    assert ("None of its class names" in said) == ("b" in names)


def test_an_onnx_files_metadata_names_its_classes(data, expected, tmp_path):
    weight = Bands().weight.detach().numpy()[[3, 2, 1, 0]].T
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 1, 4, 4])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 4])
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["scores"]),
    ]
    stored = [numpy_helper.from_array(weight, "weight")]
    graph = helper.make_graph(nodes, "named", [image], [scores], stored)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {"names": str(dict(enumerate(NAMES[::-1])))})
    onnx.save(made, tmp_path / "named.onnx")
    subject = meet(load_model(tmp_path / "named.onnx"), replace(data, class_names=NAMES))
    torch.testing.assert_close(subject.logits(data.test.images), expected)


def test_names_that_do_not_match_are_listed(data):
    data = replace(data, class_names=NAMES)
    columns = lambda n: lambda images: torch.zeros(len(images), n)  # noqa: E731
    message = "got “polar_bear”, “cat”, which are none of “x”, “y”; rename these folders, or leave"
    with pytest.raises(InputError, match=message):
        meet(named(columns(4), "ant", "x", "y", "dog"), data)
    with pytest.raises(InputError, match=r"expected images of the model's classes \(“s0”.* --data"):
        meet(named(columns(9), *(f"s{n}" for n in range(9))), data)
    unnamed = meet(load_model(lambda images: nn.functional.pad(Bands()(images), (0, 9))), data)
    assert any("13 outputs: the first 4 are taken" in note for note in unnamed.notes)


def test_a_rubbish_class_keeps_its_place_among_reordered_outputs(data):
    data = replace(data, class_names=NAMES)

    def model(images):
        return nn.functional.pad(Bands()(images).detach(), (1, 0))

    names = ("background", *NAMES)
    subject = meet(named(model, *names), data, Interface(rubbish_class=0))
    assert subject.rubbish_class == 4
    with pytest.raises(InputError, match="got 1; drop --rubbish-class if it has no such class"):
        meet(named(model, *names), data, Interface(rubbish_class=1))


def test_another_order_of_the_outputs_is_noticed(data):
    report = audit(Relabelled(sure=12), data, judge=None, settings=LITTLE)
    (failure,) = report.failures
    assert (
        "It would read 100.0% of the test images if its outputs were in another" in failure.reason
    )
    assert "“0” is output 1, “1” is output 2, “2” is output 3 and 1 more" in failure.reason

    class Half(Bands):
        """Two classes in the other order."""

        def forward(self, images):
            return super().forward(images)[:, [0, 2, 3, 1]]

    report = audit(Half(sure=12), data, judge=None, settings=LITTLE)
    assert report.clean.accuracy == 1 / 4
    assert any("“1” is output 3" in warning for warning in report.warnings)
    assert "in another order" in " ".join(verdict(report))


def test_guesses_are_not_taken_for_another_order():
    generator = torch.Generator().manual_seed(0)
    for n_classes in (2, 10, 100):
        labels = torch.arange(8 * n_classes) % n_classes
        chosen = torch.randint(n_classes, labels.shape, generator=generator)
        assert another_order(chosen, labels, [str(n) for n in range(n_classes)]) == []
        assert another_order(labels, labels, [str(n) for n in range(n_classes)]) == []


def test_more_than_256_classes(data):
    bands = Bands(n_classes=300, shape=(1, 300, 1), sure=60)
    many = replace(band_data(bands), validation=band_split(300, 0, bands))
    subject = meet(load_model(bands), many)
    assert subject.n_outputs == 300
    assert subject.accuracy(many.validation.images, many.validation.labels) == 1


def test_a_slow_model_is_asked_about_few_images(data):
    data = replace(data, validation=band_split(3000, 5, Bands()))
    asked = []

    def slow(images):
        asked.append(len(images))
        return Bands(sure=12)(images).detach()

    subject = meet(load_model(slow), data, sample=20, thorough=False)
    assert sum(asked) < 200
    assert subject.accuracy(data.test.images, data.test.labels) == 1
    quick, asked[:] = sum(asked), []
    meet(load_model(slow), data)
    assert sum(asked) > 20 * quick


def test_a_mapping_is_read_by_its_names(data, expected):
    class Lazy(Mapping):
        """Not a dict, and computes what it is asked for."""

        def __init__(self, logits):
            self.logits = logits

        def __getitem__(self, name):
            return {"logits": self.logits, "twice": self.logits.repeat(1, 2)}[name]

        def __iter__(self):
            return iter(("logits", "twice"))

        def __len__(self):
            return 2

    subject = meet(load_model(After(Lazy)), data)
    torch.testing.assert_close(subject.logits(data.test.images), expected)
    with pytest.raises(
        InputError, match=re.escape("got 'x'; the model has logits (N, 4), twice (N, 8)")
    ):
        meet(load_model(After(Lazy)), data, Interface(output="x"))
