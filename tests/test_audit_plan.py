"""The plan of an audit, with a clock that questions and gradients move: no time is measured."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from conftest import Bands
from deceive.auditing import AuditSettings, Interface, Scaling, audit
from deceive.auditing.budget import Budget, usual_budget
from deceive.auditing.candidates import WHITE_STARTS
from deceive.auditing.estimate import SECTIONS, Facts, estimated
from deceive.auditing.grouping import drop_groups, in_groups
from deceive.auditing.pace import Cost, Pace, cost_of, quicker_step
from deceive.auditing.planning import LADDERS, planned, reductions
from deceive.auditing.settings import QUICK, THOROUGH
from deceive.data.dataset import Stack
from deceive.data.sampling import SampledData, sample_of
from deceive.fooling.starts import REAL, STARTS
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import batch_for
from deceive.storage.runs import Run
from worlds.audits import TINY, band_data, band_split

PLAIN = Interface(Scaling())
SLOW = Pace(Cost(0.01, 0.5), Cost(0.01, 1.5), Cost(), read=0.01, made=0.001)


@dataclass
class Clock:
    """It moves only when it is told to."""

    now: float = 0.0

    def __call__(self):
        return self.now

    def __deepcopy__(self, memo):
        return self  # copies of a model share it


class Slow(Bands):
    """Every question takes seconds: one for the call, and some for each image."""

    def __init__(self, clock, call=0.0, image=0.0, **options):
        super().__init__(**options)
        self.clock, self.call, self.image, self.asked = clock, call, image, 0

    def forward(self, images):
        self.clock.now += self.call + self.image * len(images)
        return super().forward(images)


def facts(pace=SLOW, **changes):
    usual = {"shape": (3, 224, 224), "n_classes": 1000, "validation": 5000, "test": 10_000}
    return Facts(pace=pace, **usual | {"garbage_kinds": 6, "transfers": 0} | changes)


def test_what_fits_is_left_as_it_is():
    quick = facts(Pace(Cost(0, 1e-5), Cost(0, 1e-5), Cost(), 0, 0), shape=(1, 28, 28))
    assert planned(QUICK, quick, 120) is QUICK
    assert reductions(QUICK, QUICK, quick) == []


@pytest.mark.parametrize("step", [SLOW.step, None])
@pytest.mark.parametrize("factor", [0.001, 0.01, 0.1, 1])
def test_a_plan_fits_and_uses_most_of_its_time(step, factor):
    def times(cost):
        return None if cost is None else Cost(cost.call * factor, cost.image * factor)

    at = facts(Pace(times(SLOW.question), times(step), Cost(), SLOW.read * factor, 0.001 * factor))
    spent = sum(estimated(planned(QUICK, at, 300), at).values())
    assert spent <= 300
    assert sum(estimated(QUICK, at).values()) < 300 or spent > 150


def test_every_part_keeps_a_minimum_and_a_search_is_left_out_before():
    least = planned(QUICK, facts(), 1)
    assert (least.real_images, least.garbage_images) == (20, 20)
    assert (least.candidates, least.steps, least.searched) == (4, 10, 0)
    assert (least.ways, least.starts) == (("momentum",), ("uniform",))
    said = reductions(QUICK, least, facts())
    assert said == [
        "It reads 20 of 5,000 validation images and 20 of 10,000 test images.",
        "Images of each kind of garbage: 20 instead of 2,000.",
        "Gradient attacks: momentum, 1 of 5.",
        "Kinds of start: uniform, 1 of 6.",
        "Candidates from each start: 4 instead of 50.",
        "Steps of each candidate: at most 10 instead of 200.",
        "Candidates of each curve: 0 instead of 20.",
        "Search without the gradient is left out.",
    ]
    # Of so few real images all are read anyway.
    few = replace(facts(), validation=18, test=20)
    assert reductions(QUICK, least, few) == said[1:]
    # A black box has nothing but the search.
    black = planned(QUICK, facts(replace(SLOW, step=None)), 1)
    assert (black.searched, black.queries) == (1, 100)


def test_what_was_set_stays():
    asked = AuditSettings(candidates=50, queries=1000, garbage_images=500)
    less = planned(asked, facts(), 120)
    assert (less.candidates, less.queries, less.garbage_images) == (50, 1000, 500)
    assert less.steps < 200
    assert less.real_images < 10_000
    # The presets set nothing, and a larger one is cut as well.
    assert not QUICK.model_fields_set | THOROUGH.model_fields_set
    assert planned(THOROUGH, facts(), 120).candidates < 50


def test_more_time_never_buys_less():
    at = [planned(QUICK, facts(), seconds) for seconds in (150, 600, 2400, 10_000)]
    for name in ("real_images", "garbage_images", "steps", "queries"):
        counts = [getattr(each, name) for each in at]
        assert counts == sorted(counts)
    assert len(at[-1].ways) > len(at[0].ways)


def test_ladders_name_settings_and_sections():
    assert LADDERS.keys() == SECTIONS.keys()
    assert (*STARTS, REAL) == WHITE_STARTS
    for ladder in LADDERS.values():
        for rung in ladder.rungs:
            assert {ladder.counted, *rung.most} <= AuditSettings.model_fields.keys()


def test_longer_settings_have_no_budget_of_their_own():
    assert usual_budget(QUICK) == usual_budget(TINY) == 120
    assert usual_budget(THOROUGH) is usual_budget(AuditSettings(steps=201)) is None


def test_a_cost_is_told_apart_into_calls_and_images():
    clock, few = Clock(), Stack(torch.zeros(4, 1, 2, 2))

    def work(images):
        clock.now += 0.003 + 0.0005 * len(images)

    found = cost_of(work, few, clock, 500)
    assert (found.call, found.image) == pytest.approx((0.003, 0.0005))
    # A slow one is asked with a small batch only.
    seen = []

    def slow(images):
        seen.append(len(images))
        clock.now += len(images)

    assert cost_of(slow, few, clock, 500) == Cost(0, 1)
    assert seen == [2, 2]


def test_a_slow_call_is_told_apart_from_slow_images():
    clock, few, seen = Clock(), Stack(torch.zeros(4, 1, 2, 2)), []

    def work(call, image):
        def taking(images):
            seen.append(len(images))
            clock.now += call + image * len(images)

        return taking

    assert cost_of(work(1.0, 0.0), few, clock, 500, spare=0.6) == Cost(1, 0)
    assert seen == [2, 2, 1, 16]
    found = cost_of(work(0.5, 0.25), few, clock, 500, spare=0.6)
    assert (found.call, found.image) == pytest.approx((0.5, 0.25))
    # Slow images are timed one by one, and very slow ones not even so.
    seen.clear()
    assert cost_of(work(0.0, 0.5), few, clock, 26, spare=0.6) == Cost(0, 0.5)
    assert cost_of(work(0.0, 5.0), few, clock, 26, spare=0.6) == Cost(0, 5)
    assert seen == [2, 2, 1, 2, 2]


def test_a_model_that_is_slow_by_the_call_reads_all_images(tmp_path):
    clock, data = Clock(), band_data()
    model = Slow(clock, call=0.2, sure=3)
    report = audit(model, data, judge=None, out=tmp_path, budget=Budget(30, clock))
    assert report.complete
    assert not any(said.startswith("It reads") for said in report.reductions)
    first = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    assert first["planned"]["before"]["validation"] >= len(data.validation)
    assert first["planned"]["settings"]["real_images"] >= len(data.test)
    assert clock.now < 40


def test_batches_shrink_with_the_images():
    assert batch_for((1, 28, 28)) == batch_for((3, 32, 32)) == 500
    assert batch_for((3, 224, 224)) * 3 * 224 * 224 <= 4_000_000
    assert batch_for((3, 4000, 4000)) == 1


@pytest.mark.parametrize(("call", "image"), [(0.01, 0.1), (0.4, 0.0)])
def test_an_audit_takes_about_what_its_plan_says(call, image, tmp_path):
    clock, data = Clock(), band_data()
    model = Slow(clock, call, image, sure=3)  # too shy to be sure, so that nothing ends early
    limit, began = Budget(60, clock), []

    @contextmanager
    def timed(words):  # the parts come after the plan, which doesn't count what was done before
        began.append(clock.now)
        yield lambda done, total, note="": None

    options = {"judge": None, "interface": PLAIN, "out": tmp_path, "task": timed}
    report = audit(model, data, **options, budget=limit)
    assert report.complete
    assert report.settings == QUICK
    assert report.planned.steps < QUICK.steps
    assert "Gradient attacks:" in " ".join(report.reductions)
    assert 30 < clock.now < 75
    first = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[0])
    assert 0.8 < (clock.now - began[0]) / first["planned"]["estimate"] < 1.5
    assert report.command.endswith("--budget none")


@pytest.mark.parametrize(("slower", "exactly"), [(5, True), (0.5, False)])
def test_gradients_are_taken_in_the_quicker_type(slower, exactly, monkeypatch):
    monkeypatch.setenv("DECEIVE_PRECISION", "bfloat16")
    clock = Clock()

    class Imitated(Slow):
        def forward(self, images):
            self.image = slower if torch.is_autocast_enabled("cpu") else 1
            return super().forward(images)

    net = FrozenCopy(Imitated(clock, image=1, sure=3), torch.zeros(1, 1, 4, 4))
    assert not net.is_exact
    cost, found = quicker_step(net, Stack(torch.rand(4, 1, 4, 4)), clock, 500)
    assert (cost.image, found) == (min(slower, 1), exactly)


def test_a_run_keeps_its_plan(tmp_path):
    clock, data = Clock(), band_data()
    options = {"judge": None, "interface": PLAIN, "out": tmp_path}

    @contextmanager
    def jumping(words):  # the time is up before the first part
        clock.now += 1000
        yield lambda done, total, note="": None

    model = Slow(clock, 0.0, 0.1, sure=12)
    stopped = audit(model, data, **options, budget=Budget(20, clock), task=jumping)
    assert not stopped.complete
    assert stopped.clean is None
    model.image = 0.0  # as if on a faster machine
    went_on = audit(model, data, **options)
    assert went_on.complete
    assert went_on.planned == stopped.planned != QUICK
    assert went_on.reductions == stopped.reductions


def test_answers_are_kept_in_groups(tmp_path):
    run, done = Run(tmp_path, {}), []

    def work(numbers):
        if len(done) == 2:
            raise RuntimeError("the time is up")
        done.append(numbers)
        return {"logits": np.array([[number, 0.0] for number in numbers])}

    arguments = (run, "garbage/other data", range(7), 3)
    layout = {"logits": "scores N L"}
    with pytest.raises(RuntimeError):
        in_groups(*arguments, work, layout)
    done.clear()
    found = in_groups(*arguments, work, layout)
    assert done == [range(6, 7)]
    assert np.concatenate([each["logits"] for each in found])[:, 0].tolist() == [*range(7)]
    drop_groups(run, "garbage/other data")
    assert not [*(tmp_path / "arrays").iterdir()]


def test_a_sample_has_every_class_in_proportion():
    split = band_split(1000, 0, Bands())
    some = sample_of(split, 100, seed=0)
    assert torch.bincount(some.labels).tolist() == [25] * 4
    assert torch.equal(sample_of(split, 100, seed=0).labels, some.labels)
    assert not torch.equal(sample_of(split, 100, seed=1).labels, some.labels)
    # Images and labels belong together.
    bands = Bands(sure=12)
    assert bands(some.read(slice(None))).argmax(1).equal(some.labels)
    assert bands(some.read(torch.tensor([5, 7]))).argmax(1).equal(some.labels[[5, 7]])
    assert sample_of(split, 1000, seed=0) is split


def test_data_are_sampled_split_by_split():
    data = SampledData.of(band_data()).at_most(0, 20, train=10, test=30)
    assert (len(data.train), len(data.validation), len(data.test)) == (10, 20, 30)
    assert data.image_shape == (1, 4, 4)
    assert len(SampledData.of(band_data()).at_most(0, 20).test) == 60
