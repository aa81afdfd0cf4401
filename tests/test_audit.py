"""Whole audits of models of known answers."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import Bands, Tilted, same_state, state_of
from deceive.auditing import Interface, audit, json_schema
from deceive.auditing.attacks import WAYS
from deceive.auditing.candidates import WHITE_STARTS
from deceive.auditing.guessing import all_rubbish, at_chance
from deceive.auditing.models.interface import Scaling
from deceive.auditing.record.rows import attacked_in
from deceive.auditing.tables import tables_of
from deceive.auditing.verdict import verdict
from deceive.common.errors import InputError
from deceive.data.dataset import Split
from deceive.storage.runs import Run
from worlds.audits import (
    TINY,
    Relabelled,
    Strict,
    WithRubbish,
    band_data,
    outcome,
)


@pytest.fixture(scope="module")
def whole(data):
    """An audit with every attack, whose judge sees what the model sees."""
    settings = TINY.model_copy(update={"ways": tuple(WAYS)})
    return audit(Bands(sure=12), data, judge=Tilted(), settings=settings)


def test_a_model_fooled_only_by_what_the_judge_sees_too_is_right(whole):
    report = whole
    assert report.complete
    assert {attack.name for attack in report.attacks} == {*WAYS, "squares"}
    # No restarts from the one blank image.
    assert len(report.attacks) == len(WHITE_STARTS) * len(WAYS) - 1 + 1
    assert report.clean.accuracy == 1
    assert [judge.name for judge in report.judges] == ["Tilted"]
    assert report.warnings == []
    assert report.judge_accuracy == 1
    for threshold in ("asked", "own"):
        found = outcome(report, threshold=threshold)
        assert found.candidates == 5 * 8 + 4  # six starts, and of blank one for each class
        assert found.fooling_rate == 1
        assert found.gibberish_rate == 0
    assert report.worst_rate == 0
    assert outcome(report, "black").candidates == 4
    # Curves flatten at the summit, which is the image that shows the class.
    for each in report.curves:
        if each.box == "white":
            assert each.budgets == [1, 3, 10, 30, 60]
            assert each.mean_confidence[-1] == pytest.approx(Bands(sure=12).summit, abs=1e-3)
            assert each.judge_agreement[-1] == 1
            assert each.asked_share[-1] == 1
    optimised = report.kind_of_garbage("optimised")
    assert optimised.images == 0
    assert optimised.mean_confidence is None


def test_what_is_written_is_of_the_json_schema(whole):
    jsonschema = pytest.importorskip("jsonschema")
    written = json.loads(whole.model_dump_json())
    jsonschema.validate(written, json_schema())
    with pytest.raises(jsonschema.ValidationError, match="'many' is not of type 'number'"):
        jsonschema.validate(written | {"seconds": "many"}, json_schema())
    with pytest.raises(jsonschema.ValidationError, match="'more' was unexpected"):
        jsonschema.validate(written | {"more": 1}, json_schema())


def test_gibberish_is_what_the_judge_does_not_call_the_target(data):
    report = audit(Bands(sure=12), data, judge=Strict(), settings=TINY)
    found = outcome(report)
    assert found.fooling_rate == 1
    assert found.gibberish_rate == pytest.approx(3 / 4)
    assert report.worst_rate == pytest.approx(3 / 4)
    assert report.judge_accuracy == report.judges[0].accuracy == 1
    optimised = report.kind_of_garbage("optimised")
    assert optimised.images == 3  # of the one curve's four candidates
    assert optimised.mean_confidence == pytest.approx(Bands(sure=12).summit, abs=1e-3)
    assert "gibberish in 33 of 44 attempts (75.0%)" in verdict(report)[0]


def test_an_audit_of_many_classes_tries_them_all(tmp_path):
    bands = Bands(n_classes=12, shape=(1, 12, 2), sure=24)
    data = band_data(bands)
    audit(bands, data, judge=None, settings=TINY, out=tmp_path)
    run = Run.open(tmp_path)
    tried = [each for each in attacked_in(run) if each.box == "white"]
    targets = [run.load_arrays(each.arrays)["targets"] for each in tried]
    assert set(np.concatenate(targets).tolist()) == set(range(12))


def test_a_shy_model_is_told_by_its_own_threshold(data):
    shy = Bands(sure=4)
    report = audit(shy, data, judge=Strict(), settings=TINY)
    assert outcome(report).fooling_rate == 0
    asked, own = report.threshold("asked"), report.threshold("own")
    assert asked.test_share == asked.any_class_share == 0
    assert own.confidence < shy.summit < 0.99
    assert 0.9 <= own.test_share <= 1
    assert outcome(report, threshold="own").gibberish_rate == pytest.approx(3 / 4)
    assert report.rate("asked") == 0
    assert report.worst_rate == pytest.approx(3 / 4)
    said = " ".join(verdict(report))
    assert "sure (its own threshold) of gibberish in 33 of 44 attempts" in verdict(report)[0]
    assert "so its own threshold counts" in said


def test_one_answer_to_all_images_is_told():
    names = ("cat", "dog", "owl")
    (said,) = at_chance(1 / 3, torch.zeros(30, dtype=torch.int64), names)
    assert said.startswith("It reads 33.3% of the test images, no better than guessing (33.3%)")
    assert "Its answer to all of them is “cat”: it has learnt nothing" in said
    (said,) = at_chance(0.1, torch.full((30,), 3), names)
    assert "Its answer to all of them is output 3" in said
    (said,) = at_chance(0.3, torch.arange(30) % 3, names)
    assert "Output k must be the class of label k" in said
    assert at_chance(0.5, torch.zeros(30, dtype=torch.int64), names) == []


class TakesAllForRubbish(Bands):
    """Reads bands, but is always surer that an image is rubbish."""

    def forward(self, images: Tensor) -> Tensor:
        said = super().forward(images)
        return torch.cat([said, said.amax(1, keepdim=True) + 1], 1)


def test_a_model_that_takes_real_images_for_rubbish_is_not_told_about_its_labels(data):
    behind = Interface(rubbish_class=4)
    model = TakesAllForRubbish(sure=12)
    report = audit(model, data, interface=behind, judge=None, settings=TINY)
    assert report.clean is None
    said = report.failures[0].reason
    assert "got none. It takes 100.0% of the test images for rubbish and reads 0.0%" in said
    assert "So its labels are in order" in said
    assert all_rubbish(0.1, 0.9, 4, 0.8)
    assert not all_rubbish(0.1, 0.2, 4, 0.8)
    assert not all_rubbish(0.6, 0.9, 4, 0.4)


def test_without_a_judge_the_fooling_rate_alone_is_given(data):
    report = audit(Bands(sure=12), data, settings=TINY)
    assert report.judges == []
    assert outcome(report).gibberish_rate is None
    assert report.worst_rate == outcome(report).fooling_rate == 1
    assert any("no judge for this data" in note for note in report.notes)
    assert "There was no judge" in " ".join(verdict(report))
    assert all(curve.judge_agreement is None for curve in report.curves)


def test_a_callable_is_a_black_box(data):
    model = Bands(sure=12)
    asked = []

    def black(images):
        asked.append(len(images))
        with torch.no_grad():
            return model(images).numpy()

    report = audit(black, data, judge=Strict(), settings=TINY)
    assert report.complete
    assert not report.model.white_box
    assert [headline.box for headline in report.headlines] == ["black"]
    assert {attack.name for attack in report.attacks} == {"squares", "low-frequency"}
    assert outcome(report, "black").fooling_rate == 1
    assert outcome(report, "black").gibberish_rate == pytest.approx(3 / 4)
    assert max(asked) <= 500
    assert {curve.unit for curve in report.curves} == {"queries"}


def test_a_rubbish_class_is_none_of_the_classes():
    data = band_data()
    unsaid = audit(WithRubbish(sure=12), data, judge=Strict(), settings=TINY)
    assert any("--rubbish-class 4" in note for note in unsaid.notes)
    report = audit(
        WithRubbish(sure=12),
        data,
        interface=Interface(rubbish_class=4),
        judge=Strict(),
        settings=TINY,
    )
    assert report.model.rubbish_class == 4
    assert not any("--rubbish-class" in note for note in report.notes)
    grey = report.kind_of_garbage("constant")
    assert grey.caught > 0.9
    others = {"max_logit", "energy", "entropy", "gen", "kl_matching"}
    assert set(grey.scores) == {"msp", "rubbish"} | others
    assert grey.scores["rubbish"].auroc > 0.9
    assert unsaid.kind_of_garbage("constant").caught is None
    # Sure of the rubbish class is not sure of a class.
    assert grey.mean_confidence < unsaid.kind_of_garbage("constant").mean_confidence - 0.3


def test_a_model_that_reads_no_better_than_guessing_is_a_warning(data):
    report = audit(Relabelled(sure=12), mislabelled(data, every=10), judge=None, settings=TINY)
    assert report.complete
    assert report.clean.accuracy == pytest.approx(0.1)
    warning, order = report.warnings
    assert verdict(report)[0] == warning
    assert "It would read 90.0% of the test images" in order
    assert "reads 10.0% of the test images, no better than guessing (25.0%)" in warning
    for remedy in ("--bounds, or --mean and --std", "--output"):
        assert remedy in warning
    assert "Output k must be the class of label k" in warning
    assert [each.any_class_share > each.test_share for each in report.thresholds] == [True, True]
    assert not any(each.columns[0] == "score" for each in tables_of(report))
    assert audit(Bands(sure=12), data, judge=None, settings=TINY).warnings == []


def test_a_classifier_whose_labels_are_words_is_found_out(data, tmp_path):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    words = np.array(["two", "four", "three", "one"])  # sorted: four, one, three, two
    images, labels = data.validation.images.flatten(1).numpy(), data.validation.labels.numpy()
    classifier = LogisticRegression().fit(images, words[labels])
    path = tmp_path / "words.onnx"
    path.write_bytes(to_onnx(classifier, images[:1]).SerializeToString())
    report = audit(path, data, judge=None, settings=TINY)
    # By hand: only class 2, "three", is where it belongs.
    assert report.clean.accuracy == 1 / 4
    assert "some libraries sort labels by name" in report.warnings[0]


def mislabelled(data, every):
    """The same data, except that one image in `every` has the next class's label."""

    def wrong(split):
        other = torch.arange(len(split)) % every == 0
        return Split(split.images, (split.labels + other) % data.n_classes)

    return replace(data, validation=wrong(data.validation), test=wrong(data.test))


@pytest.mark.parametrize("shapeless", [nn.Identity(), nn.Flatten(0)])
def test_a_module_that_gives_no_row_for_each_image_is_refused(data, shapeless):
    with pytest.raises(InputError, match=r"expected outputs of shape \(\d+, K\)"):
        audit(shapeless, data, judge=None, settings=TINY)
    with pytest.raises(InputError, match=r"expected outputs of shape \(\d+, K\)"):
        audit(Bands(), data, judge=shapeless, settings=TINY)


def test_where_a_gradient_leads_on_nothing_is_said_to_have_stalled(whole):
    for each in whole.attacks:
        assert all(not outcome.stalled for outcome in each.outcomes)
    assert outcome(whole).stalled == 0


def test_neither_box_does_better_and_one_had_no_gradient(data, whole):
    safe = outcome(whole, "black").model_copy(update={"fooling_rate": 0.0, "gibberish_rate": 0.0})
    white, black = (
        each.model_copy(update={"outcomes": [safe.model_copy(update={"stalled": stalled})] * 2})
        for each, stalled in zip(whole.headlines, (1.0, None), strict=True)
    )
    assert [white.box, black.box] == ["white", "black"]
    report = whole.model_copy(update={"headlines": [white, black]})
    assert report.headline.box == "black"


def test_the_model_is_untouched(data):
    model = Bands(sure=12).train()
    before = state_of(model)
    audit(model, data, judge=None, settings=TINY)
    assert same_state(before, state_of(model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"interface": Interface(rubbish_class=2)},
            "rubbish_class: expected none, as each of the model's 4 outputs is one of",
        ),
        (
            {"interface": Interface(Scaling(mean=(0.1, 0.2), std=(1, 1)))},
            "mean: expected 1 number or 1",
        ),
        ({"budget": 0}, "budget: expected"),
        ({"judge": Bands(sure=12)}, "judge: expected models other than"),
        ({"judge": [Strict(), Bands(sure=12)]}, "judge: expected models other than"),
        ({"judge": ["auto", Strict()]}, "judge: expected models, or auto alone"),
        (
            {"other_data": band_data(Bands(shape=(1, 8, 4)))},
            "other_data: expected images of the data's shape",
        ),
    ],
)
def test_bad_input_is_one_clear_value_error(data, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        audit(Bands(sure=12), data, settings=TINY, **options)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Bands(n_classes=3, shape=(1, 4, 4)), "expected at least 4 outputs"),
        (nn.Conv2d(2, 3, 3), "expected a model that takes images of shape"),
        (lambda images: images, r"expected outputs of shape \(32, K\)"),
        (3, "expected a torch.nn.Module, a callable"),
    ],
)
def test_a_model_that_will_not_do_is_one_clear_value_error(data, model, message):
    with pytest.raises(InputError, match=message):
        audit(model, data, settings=TINY)


def test_another_data_set_is_garbage(data):
    other = replace(
        data, test=Split(torch.ones(30, 1, 4, 4), data.test.labels[:30]), folder=Path("white")
    )
    report = audit(Bands(sure=12), data, judge=None, settings=TINY, other_data=other)
    found = report.kind_of_garbage("other data")
    assert found.images == 20
    assert found.mean_confidence == pytest.approx(1 / 4)
    assert found.scores["msp"].auroc == 1
    assert found.scores["msp"].fpr_at_95_tpr == 0
