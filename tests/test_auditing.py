import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import Bands, Tilted, same_state, state_of
from deceive.auditing import Interface, audit, read_report
from deceive.auditing.again import command
from deceive.auditing.assemble import assemble, write_audit
from deceive.auditing.attacks import WAYS, attack, curve
from deceive.auditing.budget import Budget
from deceive.auditing.candidates import WHITE_STARTS, targets_of
from deceive.auditing.formats import load_model
from deceive.auditing.garbage import compare, garbage_images, scores_of
from deceive.auditing.interface import FOUND_OUT, Scaling, as_json
from deceive.auditing.judges import meet_judges
from deceive.auditing.meeting import meet
from deceive.auditing.outcomes import attacks_of, headlines_of, outcome_of, stored_outcomes
from deceive.auditing.parts.attack import attack_parts
from deceive.auditing.rows import Again, attacked_in
from deceive.auditing.scaling import usual
from deceive.auditing.settings import CERTAIN, QUICK, THOROUGH, budgets
from deceive.auditing.verdict import still_to_come, sure, verdict
from deceive.common.errors import InputError, WriteError
from deceive.data.loading import Dataset, Split, load_data
from deceive.fooling.fool import fool
from deceive.fooling.starts import begin
from deceive.networks.frozen import FrozenCopy
from deceive.storage.runs import Run
from worlds.audits import (
    TINY,
    Always,
    Glaring,
    Relabelled,
    Strict,
    WithRubbish,
    after_clean,
    band_data,
    band_split,
    broken,
    context_of,
    outcome,
    quiet,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return band_data()


@pytest.fixture(scope="module")
def whole(data):
    """An audit with every attack, whose judge sees what the model sees."""
    settings = TINY.model_copy(update={"ways": tuple(WAYS)})
    return audit(Bands(sure=12), data, judge=Tilted(), settings=settings)


# What is found, of models whose answers are known.


def test_whoever_is_fooled_by_what_the_judge_sees_as_well_is_right(whole):
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
    assert "gibberish with 33 of 44 candidates, 75.0%" in verdict(report)[0]


def test_the_median_is_of_what_the_sentence_counts(data, tmp_path):
    report = audit(Bands(sure=12), data, judge=Strict(), settings=TINY, out=tmp_path)
    run, steps = Run.open(tmp_path), {}
    for attacked in attacked_in(run):  # by hand: the fewest steps of each that is gibberish
        if attacked.box == "white":
            arrays = stored_outcomes(run, attacked, {"K": 4})["asked"]
            nonsense = arrays["fooled"] & (arrays["judged"] != arrays["targets"])
            for place in np.flatnonzero(nonsense):
                key = (attacked.start, attacked.first + place)
                steps[key] = min(steps.get(key, 10**9), arrays["steps"][place])
    found = outcome(report)
    assert len(steps) == 33
    assert found.gibberish_median == np.median([*steps.values()])
    assert (
        f"33 of 44 candidates, 75.0%, in a median of {found.gibberish_median:g} steps"
        in (verdict(report)[0])
    )
    # Without a judge it is of all that reach the threshold.
    assert found.model_copy(update={"gibberish_rate": None}).effort == found.median


def test_the_median_of_gibberish_is_not_that_of_what_shows_the_class():
    def group(steps, judged):
        arrays = {"fooled": np.array([True] * len(steps)), "steps": np.array(steps)}
        return arrays | {"judged": np.array(judged), "targets": np.ones(len(steps), np.int64)}

    found = outcome_of(
        "asked", [group([1, 2, 3], [1, 1, 1]), group([10, 20, 30, 40], [0, 0, 0, 1])]
    )
    assert found.median == 10
    assert found.gibberish_median == 20


def test_every_class_is_a_target_where_there_are_more_than_candidates():
    def targets(n_classes, count, starts=6):
        options = [{"earlier": count * at, "total": count * starts} for at in range(starts)]
        return [targets_of(range(count), n_classes, count, **each).tolist() for each in options]

    def all_of(lists):
        return [each for listed in lists for each in listed]

    # As many candidates as classes, or more: the classes in turn, from every start.
    assert targets(10, 50) == [[*range(10)] * 5] * 6
    assert targets(10, 10) == [[*range(10)]] * 6
    # Fewer: from all starts together each class, equally often.
    counted = np.bincount(all_of(targets(100, 50)), minlength=100)
    assert counted.tolist() == [3] * 100
    # Fewer altogether: evenly among the classes, none twice.
    few = all_of(targets(1000, 50))
    assert len(set(few)) == 300
    assert set(np.diff(few)) == {3, 4}
    assert targets_of(range(20), 100, 20).tolist() == [*range(0, 100, 5)]
    # A group of candidates has the targets that it has among all.
    whole = targets_of(range(250), 300, 250, earlier=250, total=1500)
    assert targets_of(range(100, 200), 300, 250, earlier=250, total=1500).equal(whole[100:200])


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
    assert asked.test_share == 0
    assert own.confidence < shy.summit < 0.99
    assert 0.9 <= own.test_share <= 1
    assert outcome(report, threshold="own").gibberish_rate == pytest.approx(3 / 4)
    assert report.rate("asked") == 0
    assert report.worst_rate == pytest.approx(3 / 4)
    said = " ".join(verdict(report))
    assert "None of 44 candidates made it 99% sure" in said
    assert "It is shy" in said


@pytest.mark.parametrize(
    ("judges", "gibberish"),
    [
        ([Strict(), Tilted(), Tilted(-0.5)], 0),
        ([Tilted(), Strict(), Strict(else_sees=1)], 1 / 2),
        ([Tilted(), Strict()], 3 / 4),  # one is not more than half of two
    ],
)
def test_most_judges_have_to_see_the_target(data, judges, gibberish):
    report = audit(Bands(sure=12), data, judge=judges, settings=TINY)
    assert outcome(report).fooling_rate == 1
    assert outcome(report).gibberish_rate == pytest.approx(gibberish)
    assert [judge.name for judge in report.judges] == [type(each).__name__ for each in judges]
    assert [judge.accuracy for judge in report.judges] == [1] * len(judges)
    for each in report.curves:
        assert each.judge_agreement[-1] == pytest.approx(1 - gibberish)
    assert report.judge_accuracy == 1


def test_the_rubbish_class_of_a_judge_has_no_say(data, tmp_path):
    judge = meet(load_model(WithRubbish(sure=12)), data, Interface(rubbish_class=4))
    images = data.test.images.clamp_min(0.5)
    assert (judge.logits(images).argmax(1) == 4).all()
    context = context_of(Bands(sure=12), tmp_path, data, (judge,))
    assert torch.equal(context.judged(images, quiet), data.test.labels)


@pytest.mark.shipped
@pytest.mark.parametrize(
    ("name", "judges"),
    [
        ("resist", ["judge", "study", "judge-in-noise"]),
        ("study", ["judge", "judge-in-noise", "fast"]),
        ("judge", ["study", "judge-in-noise", "fast"]),
    ],
)
def test_nobody_is_a_judge_of_itself(name, judges):
    digits = load_data()
    found, notes = meet_judges(["auto"], meet(load_model(name), digits), digits, trust=False)
    assert [each.name for each in found] == judges
    assert not notes


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
    assert set(grey.scores) == {"msp", "max_logit", "energy", "rubbish"}
    assert grey.scores["rubbish"].auroc > 0.9
    assert unsaid.kind_of_garbage("constant").caught is None
    # Sure of the rubbish class is not sure of a class.
    assert grey.mean_confidence < unsaid.kind_of_garbage("constant").mean_confidence - 0.3


class Squashed(Bands):
    """Bands with something done to its logits at last."""

    def __init__(self, squash, sure=12):
        super().__init__(sure=sure)
        self.squash = squash

    def forward(self, images):
        return self.squash(super().forward(images))


SQUASHES = {
    "probabilities": lambda logits: logits.softmax(1),
    "log-probabilities": lambda logits: logits.log_softmax(1),
}


@pytest.mark.parametrize("kind", SQUASHES)
def test_probabilities_and_their_logarithms_are_recognised(data, kind):
    model = Squashed(SQUASHES[kind])
    report = audit(lambda images: model(images).detach(), data, judge=Strict(), settings=TINY)
    assert report.complete
    assert report.model.answers == kind
    assert any(f"returns {kind}" in note for note in report.notes)
    logits = audit(Bands(sure=12), data, judge=Strict(), settings=TINY)
    assert report.clean.mean_confidence == pytest.approx(logits.clean.mean_confidence)
    found, expected = report.kind_of_garbage("uniform"), logits.kind_of_garbage("uniform")
    assert found.mean_confidence == pytest.approx(expected.mean_confidence, abs=1e-6)
    assert set(found.scores) == {"msp"}
    assert set(expected.scores) == {"msp", "max_logit", "energy"}


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sigmoid"])
def test_what_is_reached_before_a_softmax_is_scored_as_logits(data, name):
    squash = getattr(torch, name)
    squash = squash if name == "sigmoid" else (lambda logits: getattr(torch, name)(logits, 1))
    subject, garbage = (
        meet(load_model(Squashed(squash)), data),
        garbage_images("uniform", 20, data.test, 0),
    )
    assert subject.answers == "logits"
    assert any(f"the {name.replace('_', '-')} of its logits" in note for note in subject.notes)
    logits = [Bands(sure=12)(images).detach() for images in (data.test.images, garbage)]
    torch.testing.assert_close(subject.logits(garbage), logits[1])
    real, rubbish = (scores_of(subject, subject.logits(x)) for x in (data.test.images, garbage))
    found = compare(real, real, rubbish)["energy"]["auroc"]
    # By hand: of all pairs, those in which the real image has more.
    ahead = logits[0].logsumexp(1)[:, None] - logits[1].logsumexp(1)[None]
    by_hand = ((ahead > 0).double() + (ahead == 0).double() / 2).mean().item()
    assert found == pytest.approx(by_hand, abs=1e-3)
    copy = FrozenCopy(subject.module, garbage[:1])
    torch.testing.assert_close(copy.exact_logits(garbage), logits[1])


# Figures that say nothing.


def test_a_model_that_reads_no_better_than_guessing_is_a_warning(data):
    report = audit(Relabelled(sure=12), mislabelled(data, every=10), judge=None, settings=TINY)
    assert report.complete
    assert report.clean.accuracy == pytest.approx(0.1)
    (warning,) = report.warnings
    assert verdict(report)[0] == warning
    assert "reads 10.0% of the test images, no better than guessing (25.0%)" in warning
    for remedy in ("--bounds, or --mean and --std", "--output"):
        assert remedy in warning
    assert "Output k must be the class of label k" in warning
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


def test_a_judge_that_reads_no_better_than_guessing_is_refused(data):
    message = "judge: expected models that read the data, got Always, which reads 25.0% of 80"
    with pytest.raises(InputError, match=message):
        audit(Bands(sure=12), data, judge=[Tilted(), Always()], settings=TINY)


# Bounds and normalisation.


@pytest.mark.parametrize("bounds", [(0, 255), (-1, 1)])
def test_usual_bounds_are_found(data, bounds):
    class Biased(Bands):
        """Calls everything class 0 that hasn't the contrast it is used to."""

        def forward(self, images):
            return super().forward(images) + torch.tensor([14.0, 0, 0, 0])

    report = audit(Biased(sure=24, bounds=bounds), data, judge=None, settings=TINY)
    assert report.model.bounds == bounds
    assert report.clean.accuracy == 1
    assert outcome(report).fooling_rate == 1
    declared = audit(
        Biased(sure=24, bounds=bounds),
        data,
        judge=None,
        settings=TINY,
        interface=Interface(Scaling(bounds)),
    )
    assert declared.attacks == report.attacks


class Picky(nn.Module):
    """Calls everything class 0 whose lightest pixel isn't about as light as a band."""

    def __init__(self, mean, std):
        super().__init__()
        self.bands, self.mean, self.std = Bands(sure=12), mean, std

    def forward(self, images):
        pixels = images * self.std + self.mean
        lightest = pixels.flatten(1).amax(1, keepdim=True)
        strange = (lightest < 0.7) | (lightest > 1.01)
        return torch.where(strange, torch.tensor([9.0, 0, 0, 0]), self.bands(pixels))


def test_normalisation_is_found_or_declared(data):
    pixels = torch.cat([data.train.images, data.validation.images])
    mean, std = round(pixels.mean().item(), 4), round(pixels.std(correction=0).item(), 4)
    found = meet(load_model(Picky(mean, std)), data)
    assert found.scaling == Scaling(mean=(mean,), std=(std,))
    assert "reads best with" in found.notes[0]
    declared = meet(load_model(Picky(0.3, 0.2)), data, Interface(Scaling(mean=(0.3,), std=(0.2,))))
    assert declared.notes == ()
    wrong = meet(load_model(Picky(0.3, 0.2)), data, Interface(Scaling()))
    for subject, accuracy in [(found, 1), (declared, 1), (wrong, 1 / 4)]:
        answers = subject.logits(data.test.images).argmax(1)
        assert (answers == data.test.labels).double().mean() == accuracy


class Knowing(nn.Module):
    """Reads some images, those of whose pixels it would say so in its scaling, and no others.

    Args:
        data: what it may be asked about: the whole of a split, or the first images of one.
        reads: how many of every 1,000 images it reads, for each scaling.
    """

    def __init__(self, data, reads):
        super().__init__()
        self.labels, self.reads, self.shown = data.validation.labels, reads, data.validation.images

    def forward(self, images):
        count = next(
            (
                count
                for scaling, count in self.reads.items()
                if torch.allclose(images[:9], scaling(self.shown[: len(images)])[:9], atol=1e-4)
            ),
            0,
        )
        labels = self.labels[: len(images)]
        wrong = torch.arange(len(images)) * 617 % 1000 >= count  # evenly spread
        return 9 * F.one_hot((labels + wrong) % 4, 4).float() - 1  # logits


@pytest.mark.parametrize("bounds", [(-1, 1), (-0.5, 0.5)])
def test_the_best_scaling_wins_whatever_its_margin(bounds):
    data = replace(band_data(), validation=band_split(3000, 5, Bands()))
    reads = {Scaling(): 970, Scaling(bounds): 990, Scaling((0, 255)): 400}
    found = meet(load_model(asking_in_order(Knowing(data, reads))), data)
    assert found.scaling == Scaling(bounds)
    (note,) = found.notes
    assert note == (
        "It reads best with pixels from {:g} to {:g} (98.00% of 500 validation images), so that "
        "is the scaling used.".format(*bounds)
    )


def asking_in_order(model):
    return lambda images: model(images).numpy()


def test_close_scalings_are_named_and_equals_go_to_the_likelier():
    data = replace(band_data(), validation=band_split(3000, 5, Bands()))
    for reads, best, other in [(990, Scaling(), (-1, 1)), (991, Scaling((-1, 1)), (0, 1))]:
        known = Knowing(data, {Scaling(): 990, Scaling((-1, 1)): reads})
        found = meet(load_model(asking_in_order(known)), data)
        assert found.scaling == best
        (note,) = found.notes
        assert "Too close to tell apart: with pixels from {} to {} (99.00%".format(*other) in note
        assert "--bounds, or --mean and --std" in note
        # Said by the user, it is taken.
        declared = meet(load_model(asking_in_order(known)), data, Interface(Scaling((-1, 1))))
        assert declared.scaling == Scaling((-1, 1))
        assert declared.notes == ()


def test_no_scaling_is_found_where_none_reads_better_than_guessing():
    data = replace(band_data(), validation=band_split(3000, 5, Bands()))
    for plain, other in [(200, 250), (20, 269)]:  # of the second pair two are tried on all images
        reads = {Scaling(): plain, Scaling((-1, 1)): other, Scaling((0, 255)): 270}
        found = meet(load_model(asking_in_order(Knowing(data, reads))), data)
        assert found.scaling == Scaling()
        assert found.notes == ()


@pytest.mark.parametrize("reads", [400, 700])
def test_a_model_that_reads_few_images_in_every_scaling_gets_a_note(reads):
    data = replace(band_data(), validation=band_split(3000, 5, Bands()))
    found = meet(load_model(asking_in_order(Knowing(data, {Scaling((-1, 1)): reads}))), data)
    notes = [note for note in found.notes if note.startswith("It reads only 39.60% of")]
    assert len(notes) == (reads == 400)
    assert found.warnings == ()
    for note in notes:
        assert "Tried: pixels from 0 to 1; pixels from -1 to 1; " in note


def test_imagenets_scaling_is_tried_on_images_of_three_channels():
    bands = Bands(shape=(3, 4, 4))
    data = replace(band_data(bands), validation=band_split(3000, 5, bands))
    imagenet = Scaling(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    found = meet(load_model(asking_in_order(Knowing(data, {imagenet: 992, Scaling(): 960}))), data)
    assert found.scaling == imagenet
    assert imagenet not in usual(band_data())
    # And the statistics of each channel of the data itself.
    grey = usual(band_data())
    assert [len(each.mean) for each in grey if each.mean is not None] == [1]
    pixels = torch.cat([data.train.images, data.validation.images]).double()
    each = Scaling(
        mean=tuple(round(v, 4) for v in pixels.mean((0, 2, 3)).tolist()),
        std=tuple(round(v, 4) for v in pixels.std((0, 2, 3), correction=0).tolist()),
    )
    whole = Scaling(
        mean=(round(pixels.mean().item(), 4),), std=(round(pixels.std(correction=0).item(), 4),)
    )
    assert usual(data)[2:5] == [whole, each, imagenet]


@pytest.mark.parametrize("shapeless", [nn.Identity(), nn.Flatten(0)])
def test_a_module_that_gives_no_row_for_each_image_is_refused(data, shapeless):
    with pytest.raises(InputError, match=r"expected outputs of shape \(\d+, K\)"):
        audit(shapeless, data, judge=None, settings=TINY)
    with pytest.raises(InputError, match=r"expected outputs of shape \(\d+, K\)"):
        audit(Bands(), data, judge=shapeless, settings=TINY)


def test_a_judge_is_met_the_same_way_or_told_how(data):
    class Judge(Bands):
        """Reads nothing whose pixels aren't from -1 to 1."""

        def forward(self, images):
            dark = images.flatten(1).amin(1, keepdim=True) < -0.5
            return torch.where(dark, super().forward(images), Always()(images))

    judge = Judge(sure=9, bounds=(-1, 1))
    found = audit(Bands(sure=12), data, judge=judge, settings=TINY)
    assert found.judges[0].bounds == (-1, 1)
    assert found.judges[0].accuracy == 1
    assert any("Judge Judge: It reads best with" in note for note in found.notes)
    told = {"judge_interface": Interface(Scaling(mean=(0.5,), std=(0.5,))), "settings": TINY}
    report = audit(Bands(sure=12), data, judge=judge, **told)
    assert (report.judges[0].mean, report.judges[0].std) == ([0.5], [0.5])
    assert report.judges[0].accuracy == 1
    with pytest.raises(InputError, match="judge: expected models that read the data, got Judge"):
        audit(
            Bands(sure=12), data, judge=judge, judge_interface=Interface(Scaling()), settings=TINY
        )
    with pytest.raises(
        InputError, match=r"judge: expected models for the given scaling .* got auto"
    ):
        audit(Bands(sure=12), data, **told)


def test_channels_have_their_own_normalisation():
    shape = (3, 4, 4)
    data = band_data(Bands(shape=shape))

    class Normalised(Bands):
        def forward(self, images):
            mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
            return super().forward(images * std[:, None, None] + mean[:, None, None])

    report = audit(
        Normalised(shape=shape, sure=12),
        data,
        judge=None,
        settings=TINY,
        interface=Interface(Scaling(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))),
    )
    plain = audit(Bands(shape=shape, sure=12), data, judge=None, settings=TINY)
    assert report.clean.mean_confidence == pytest.approx(plain.clean.mean_confidence)
    assert report.model.image_shape == shape
    assert outcome(report).fooling_rate == 1


# Models that misbehave.


@pytest.mark.parametrize("black", [False, True])
def test_a_model_that_works_in_place_is_audited_like_one_that_does_not(data, black):
    def normalised(images):
        array = images.numpy()
        array -= 0.5  # in the very memory that it was given
        array *= 2
        return Bands(sure=12)(torch.from_numpy(array)).detach()

    class InPlace(Bands):
        def forward(self, images):
            return super().forward(images.sub_(0.5).mul_(2))

    class Apart(Bands):
        def forward(self, images):
            return super().forward((images - 0.5) * 2)

    before = data.test.images.clone()
    apart = Apart(sure=12)
    options = {"judge": Strict(), "settings": TINY, "interface": Interface(Scaling())}
    found = audit(normalised if black else InPlace(sure=12), data, **options)
    expected = audit((lambda x: apart(x).detach()) if black else apart, data, **options)
    assert torch.equal(data.test.images, before)
    assert found.complete
    assert (found.clean, found.attacks) == (expected.clean, expected.attacks)


def crashing(logits, bright):
    if bright.any():
        raise RuntimeError("no light, please\nand a second line")
    return logits


def test_nan_on_garbage_is_counted_and_said(data):
    report = audit(Glaring(broken), data, judge=Strict(), settings=TINY)
    assert report.clean.accuracy == 1
    assert not report.complete
    noise = report.kind_of_garbage("uniform")
    assert noise.not_finite > 10
    assert report.kind_of_garbage("permuted").not_finite == 0
    assert any("NaN" in failure.reason for failure in report.failures)
    assert "of uniform noise with NaN" in " ".join(verdict(report))
    # What it lived through is there.
    assert {"blank"} <= {attack.start for attack in report.attacks}


def test_a_crash_is_said_and_the_rest_is_done(data):
    report = audit(Glaring(crashing), data, judge=Strict(), settings=TINY)
    assert not report.complete
    assert report.missing == []
    reasons = {failure.part: failure.reason for failure in report.failures}
    assert "no light, please" in reasons["garbage: uniform"]
    assert "second line" not in reasons["garbage: uniform"].splitlines()[1:]
    assert report.kind_of_garbage("permuted").mean_confidence > 0
    assert verdict(report)[0].startswith("It failed in")


def test_arrays_that_were_damaged_meanwhile_are_not_the_models_failure(data, tmp_path):
    class Damaging(Bands):
        def forward(self, images):
            if len(images) == TINY.garbage_images:
                (tmp_path / "arrays/scores-test.npz").write_bytes(b"rubbish")
            return super().forward(images)

    with pytest.raises(InputError, match=r"scores-test\.npz: expected arrays; "):
        audit(Damaging(sure=12), data, judge=None, settings=TINY, out=tmp_path)
    assert "failure" not in (tmp_path / "rows.jsonl").read_text()


def test_without_a_finite_answer_to_real_images_nothing_is_measured(data):
    report = audit(Bands(sure=float("nan")), data, judge=None, settings=TINY)
    assert report.clean is None
    assert report.garbage == []
    assert [failure.part for failure in report.failures] == ["reading real images"]
    assert "finite outputs" in report.failures[0].reason
    # More time would not help, so that nothing is said to wait for it.
    assert report.missing == []
    assert not report.complete
    assert verdict(report) == [
        "It failed on the real images, and everything else is measured against those."
    ]


def test_a_class_at_minus_infinity_is_told_what_to_do_instead(data):
    class Masked(Bands):
        def forward(self, images):
            never = images.new_full((len(images), 1), -torch.inf)
            return torch.cat([super().forward(images), never], 1)

    report = audit(Masked(sure=12), data, judge=None, settings=TINY)
    assert "use a large negative logit, not -inf" in report.failures[0].reason
    assert report.missing == []


def test_a_folder_that_cannot_be_written_to_is_not_the_models_failure(data, tmp_path):
    class Full(Bands):
        """Takes the place of the arrays when it sees garbage for the first time."""

        done = False

        def forward(self, images):
            if len(images) == TINY.garbage_images and not Full.done:
                Full.done = True
                (tmp_path / "out/arrays").rename(tmp_path / "out/gone")
                (tmp_path / "out/arrays").touch()
            return super().forward(images)

    with pytest.raises(WriteError, match="expected a writable path"):
        audit(Full(sure=12), data, judge=None, settings=TINY, out=tmp_path / "out")
    rows = (tmp_path / "out/rows.jsonl").read_text()
    assert "failure" not in rows
    # When there is room again, the same call goes on.
    (tmp_path / "out/arrays").unlink()
    (tmp_path / "out/gone").rename(tmp_path / "out/arrays")
    assert audit(Full(sure=12), data, judge=None, settings=TINY, out=tmp_path / "out").complete


def test_a_masked_gradient_does_not_look_like_resistance(data):
    class Stairs(torch.autograd.Function):
        """The identity, whose gradient points away."""

        @staticmethod
        def forward(ctx, images):
            return images.clone()

        @staticmethod
        def backward(ctx, gradient):
            return -gradient

    class Masked(Bands):
        def forward(self, images):
            return super().forward(Stairs.apply(images))

    report = audit(Masked(sure=12), data, judge=Strict(), settings=TINY)
    assert outcome(report).fooling_rate < 0.2
    assert outcome(report, "black").fooling_rate == 1
    assert report.headline.box == "black"
    assert report.worst_rate == pytest.approx(3 / 4)
    assert "probably masked" in " ".join(verdict(report))


class Levels(nn.Module):
    """Rounds pixels to five levels: its gradient is 0 wherever it is."""

    def forward(self, images):
        return (images * 4).round() / 4


def test_a_gradient_of_zero_does_not_look_like_resistance(data):
    report = audit(nn.Sequential(Levels(), Bands(sure=12)), data, judge=Strict(), settings=TINY)
    assert report.complete
    white, black = (outcome(report, box) for box in ("white", "black"))
    assert white.stalled == pytest.approx(1 - white.fooling_rate)
    assert white.stalled > 0.9
    assert black.stalled is None
    assert report.headline.box == "black"
    (warning,) = report.warnings
    assert re.match(
        r"The gradient vanished \(0, or too small for float32\) for (9\d|100)% of", warning
    )
    assert verdict(report)[0] == warning
    for each in report.attacks:
        assert (each.outcomes[0].stalled is None) == (each.box == "black")


def test_one_that_no_gradient_passes_through_is_a_black_box(data):
    class Cut(Bands):
        def forward(self, images):
            return super().forward(images.detach())

    report = audit(Cut(sure=12), data, judge=Strict(), settings=TINY)
    assert report.complete
    assert not report.model.white_box
    assert [each.box for each in report.headlines] == ["black"]
    assert any("No gradient passes through it" in note for note in report.notes)
    assert {"squares", "low-frequency"} <= {each.name for each in report.attacks}


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
            "rubbish_class: expected an output after the data's 4 classes",
        ),
        (
            {"interface": Interface(Scaling(mean=(0.1, 0.2), std=(1, 1)))},
            "mean: expected 1 number or 1",
        ),
        ({"budget": 0}, "budget: expected"),
        ({"judge": Bands(sure=12)}, "judge: expected models other than"),
        ({"judge": [Strict(), Bands(sure=12)]}, "judge: expected models other than"),
        ({"judge": ["auto", Strict()]}, "judge: expected models, or auto alone"),
        ({"other_data": band_data(Bands(shape=(1, 8, 4)))}, "other_data: expected images of shape"),
    ],
)
def test_bad_input_is_one_clear_value_error(data, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        audit(Bands(sure=12), data, settings=TINY, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": [0.1]}, "std: expected numbers to go with mean, got none"),
        ({"std": [1]}, "mean: expected numbers to go with std, got none"),
        ({"mean": [0.1], "std": [0]}, "std: expected a number between 0"),
        ({"bounds": (1, 0)}, "bounds: expected (low, high) with low < high, got (1, 0)"),
        ({"bounds": "01"}, "bounds: expected (low, high), two numbers, got '01'"),
    ],
)
def test_a_scaling_that_makes_no_sense_is_one_clear_value_error(options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Scaling(**options)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Bands(n_classes=3, shape=(1, 4, 4)), "expected at least 4 outputs"),
        (nn.Conv2d(2, 3, 3), "expected a model that takes images of shape"),
        (lambda images: images, r"expected outputs of shape \(80, K\)"),
        (3, "expected a torch.nn.Module, a callable"),
    ],
)
def test_a_model_that_will_not_do_is_one_clear_value_error(data, model, message):
    with pytest.raises(InputError, match=message):
        audit(model, data, settings=TINY)


# The folder.


def test_a_run_goes_on_where_the_time_was_up(data, tmp_path):
    options = {"judge": Strict(), "settings": TINY}
    looks = itertools.count()
    whole = audit(Bands(sure=12), data, out=tmp_path / "whole", **options)
    calls = 0
    while True:
        budget = Budget(400, lambda: float(next(looks)))  # each look at this clock takes a second
        report = audit(Bands(sure=12), data, out=tmp_path / "bits", budget=budget, **options)
        calls += 1
        if report.complete:
            break
        assert report.missing
        assert calls < 50
    assert calls > 1
    assert replace_seconds(report) == replace_seconds(whole)
    rows = [json.loads(line) for line in (tmp_path / "bits/rows.jsonl").read_text().splitlines()]
    names = [row["part"] for row in rows]
    assert len(names) == len(set(names))  # nothing was done twice
    # Once more, and nothing changes.
    again = audit(Bands(sure=12), data, out=tmp_path / "whole", **options)
    assert again == whole


def replace_seconds(report):
    return report.model_copy(update={"seconds": 0})


def test_what_failed_is_tried_again(data, tmp_path):
    broken_once = Glaring(crashing)
    report = audit(broken_once, data, judge=None, settings=TINY, out=tmp_path)
    assert report.failures
    broken_once.odd = lambda logits, bright: logits  # the same weights, and so the same model
    mended = audit(broken_once, data, judge=None, settings=TINY, out=tmp_path)
    assert mended.complete
    assert mended.failures == []


def test_another_model_or_size_is_another_run(data, tmp_path):
    audit(Bands(sure=12), data, judge=None, settings=TINY, out=tmp_path)
    with pytest.raises(InputError, match="the model answers differently"):
        audit(Bands(sure=11), data, judge=None, settings=TINY, out=tmp_path)
    other = TINY.model_copy(update={"steps": 61})
    with pytest.raises(InputError, match="steps"):
        audit(Bands(sure=12), data, judge=None, settings=other, out=tmp_path)


def test_audit_json_is_the_report(data, tmp_path):
    report = audit(Bands(sure=12), data, judge=Strict(), settings=TINY, out=tmp_path)
    assert read_report(tmp_path / "audit.json") == report
    # Made of what is stored alone.
    run = Run.open(tmp_path)
    assert assemble(run) == report
    (tmp_path / "audit.json").unlink()
    assert write_audit(run) == report


def test_groups_are_put_together(data, tmp_path):
    def found(group):
        context = context_of(Bands(sure=12), tmp_path / str(group), data)
        parts = attack_parts(after_clean(context), group)
        rows = [part.run(context, quiet) for part in parts]
        return [
            (row.attacked, stored_outcomes(context.run, row.attacked, context.sizes))
            for row in rows
        ]

    together, cut = found(100), found(3)
    assert len(cut) > 2 * len(together)
    assert attacks_of(cut) == attacks_of(together)
    assert headlines_of(cut) == headlines_of(together)


@pytest.mark.parametrize(("way", "steps"), [("momentum", 8), ("restarts", 4)])
def test_thresholds_together_find_what_each_finds_alone(way, steps):
    def found(thresholds):
        return attack(
            Bands(sure=8).eval(),
            WAYS[way],
            lambda attempt: begin("uniform", range(12), (1, 4, 4), attempt),
            targets_of(range(12), 4, 12),
            thresholds=thresholds,
            steps=steps,
            restarts=3,
            seed=0,
            callback=lambda progress: None,
        )

    thresholds = {"own": 0.9, "asked": 0.8, "again": 0.8}
    together = found(thresholds)
    assert 0 < together["own_fooled"].sum() < together["asked_fooled"].sum() < 12
    for name, confidence in thresholds.items():
        for key, values in found({name: confidence}).items():
            np.testing.assert_allclose(together[key], values, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", ["momentum", "smoothed"])
def test_a_curve_is_what_each_budget_alone_would_come_to(name):
    model, way, asked = Bands(sure=20).eval(), WAYS[name], [1, 3, 10, 30]
    start, targets = begin("uniform", range(8), (1, 4, 4), 0), targets_of(range(8), 4, 8)
    arrays = curve(model, way, start, targets, budgets=asked, seed=1, callback=lambda now: None)
    assert (np.diff(arrays["confidence"], axis=0) >= 0).all()
    for place, steps in enumerate(asked):
        options = {"confidence": CERTAIN, "start": start, "steps": steps, "seed": 1}
        alone = fool(model, targets, ascent=way.ascent, **options)
        np.testing.assert_array_equal(arrays["levels"][place], alone.levels)
        np.testing.assert_allclose(arrays["confidence"][place], alone.confidence, atol=1e-6)
    assert (alone.fooled & (alone.steps < 30)).any()


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected an audit.json"),
        ("[]", "expected an audit.json"),
        ('{"schema_version": 1}', "expected an audit of schema version 2 or 3, got 1"),
        ('{"schema_version": 2}', "expected an audit.json; deceive: Field required"),
        ('{"schema_version": 2, "judges": 3}', "expected an audit.json; deceive: Field required"),
        ('{"schema_version": 3}', "expected an audit.json; deceive: Field required"),
    ],
)
def test_what_is_no_audit_is_one_clear_value_error(tmp_path, content, message):
    path = tmp_path / "audit.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_report(path)
    with pytest.raises(InputError, match=r"expected an audit\.json"):
        read_report(tmp_path / "nowhere.json")


def test_the_folder_of_something_else_is_refused(tmp_path):
    run = Run(tmp_path, {"seed": 0})
    with pytest.raises(InputError, match="expected the folder of an audit"):
        assemble(run)


# Small parts.


def test_budgets_are_powers_and_threes():
    assert budgets(200) == [1, 3, 10, 30, 100, 200]
    assert budgets(1000, least=30) == [30, 100, 300, 1000]
    assert budgets(1) == [1]
    assert budgets(10_000)[-3:] == [1000, 3000, 10_000]


def test_the_command_names_what_differs_from_the_preset():
    def settings(interface, judge_interface=FOUND_OUT, judges=("auto",), **changed):
        given = {"interface": as_json(interface), "judge_interface": as_json(judge_interface)}
        return given | {"model": "my net:make", "judges": [*judges]} | changed

    first = Interface(Scaling(mean=(0.13066047,), std=(0.3,)), rubbish_class=10)
    size = QUICK.model_copy(update={"steps": 7, "ways": ("sign", "adam")}).model_dump(mode="json")
    assert command(settings(first, **size), Again(data="my digits", other_data="../fashion")) == (
        "deceive audit 'my net:make' --data 'my digits' --other-data ../fashion "
        "--bounds 0 1 --mean 0.13066047 --std 0.3 --rubbish-class 10 --steps 7 --ways sign adam"
    )
    of_judges = Interface(Scaling(mean=(0.5,), std=(0.25,)), output="1", rubbish_class=10)
    judges, size = ["other.onnx", "my net:judge"], THOROUGH.model_dump(mode="json")
    second = settings(Interface(Scaling((-1, 1)), output="logits"), of_judges, judges, **size)
    assert command(second, Again(trust=True)) == (
        "deceive audit 'my net:make' --thorough --trust --judge other.onnx 'my net:judge' "
        "--bounds -1 1 --output logits --judge-bounds 0 1 --judge-mean 0.5 --judge-std 0.25 "
        "--judge-output 1 --judge-rubbish-class 10"
    )
    # Bounds of [0, 1] are named too, or they would be found out.
    third = settings(Interface(Scaling()), judges=[], **size)
    assert (
        command(third, Again())
        == "deceive audit 'my net:make' --thorough --judge none --bounds 0 1"
    )


def test_confidence_in_words():
    assert [sure(value) for value in (0.99, 0.95641, 0.9, 0.99987, 0.999999)] == [
        "99%",
        "95.64%",
        "90%",
        "99.987%",
        "99.9999%",
    ]


def test_long_lists_are_cut(data):
    report = audit(Bands(sure=12), data, judge=None, settings=TINY, budget=1e-9)
    assert not report.complete
    assert still_to_come(report).startswith("reading real images; garbage: uniform; ")
    assert still_to_come(report).endswith(" more")
    assert verdict(report) == []


def test_permuted_images_keep_their_pixels(data):
    images = garbage_images("permuted", 12, data.test, seed=1)
    for image, real in zip(images, data.test.images, strict=False):
        levels = real.mul(255).round().div(255)
        torch.testing.assert_close(image.flatten().sort().values, levels.flatten().sort().values)
    assert not torch.equal(images[0], garbage_images("permuted", 1, data.test, seed=2)[0])
    colours = Split(torch.rand(2, 3, 4, 4), torch.zeros(2))
    shuffled = garbage_images("permuted", 2, colours, seed=0)
    # The channels of a pixel stay together.
    found = {tuple(pixel) for pixel in shuffled[0].flatten(1).T.mul(255).round().int().tolist()}
    assert found == {
        tuple(pixel) for pixel in colours.images[0].flatten(1).T.mul(255).round().int().tolist()
    }


def test_greys_go_from_black_to_white(data):
    greys = garbage_images("constant", 5, data.test, seed=0)
    assert (greys.amax((1, 2, 3)) - greys.amin((1, 2, 3))).max() == 0
    assert greys[:, 0, 0, 0].tolist() == pytest.approx([0, 64 / 255, 128 / 255, 191 / 255, 1])


def test_scores_tell_apart_beyond_what_a_probability_can(data):
    class Reader:
        rubbish_class, answers = None, "logits"
        class_outputs = staticmethod(lambda values: values)

    logits = torch.tensor([[0.0, 60.0], [0.0, 50.0], [1.0, 1.0]])
    scores = scores_of(Reader(), logits)
    assert scores["msp"][0] > scores["msp"][1]
    assert scores["msp"][2].sigmoid().item() == pytest.approx(0.5)
    assert scores["max_logit"].tolist() == [60, 50, 1]
    assert scores["energy"][2].item() == pytest.approx(1 + np.log(2))


def test_the_folder_of_another_version_is_said(data, tmp_path):
    audit(Bands(sure=12), data, judge=None, settings=TINY, out=tmp_path)
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"audit": 2}))
    with pytest.raises(
        InputError, match=r"expected an audit of schema version .* got version 2; .*--fresh"
    ):
        assemble(Run.open(tmp_path))
