"""What the judges of an audit say."""

import pytest
import torch

from conftest import Bands, Tilted
from deceive.auditing import Interface, audit
from deceive.auditing.judges import meet_judges
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.remarks import of_judge
from deceive.common.errors import InputError
from deceive.data.loading import load_data
from worlds.audits import (
    TINY,
    Always,
    Strict,
    WithRubbish,
    context_of,
    outcome,
    quiet,
)


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
def test_no_network_judges_itself(name, judges):
    digits = load_data()
    found, notes = meet_judges(["auto"], meet(load_model(name), digits), digits, trust=False)
    assert [each.name for each in found] == judges
    assert not notes


def test_a_judge_that_reads_no_better_than_guessing_is_refused(data):
    message = "judge: expected models that read the data, got Always, which reads 25.0% of 80"
    with pytest.raises(InputError, match=message):
        audit(Bands(sure=12), data, judge=[Tilted(), Always()], settings=TINY)


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
    assert of_judge("set --size or --data") == "set --judge-size or --data"
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
