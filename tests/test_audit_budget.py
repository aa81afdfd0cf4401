"""The budget of a call of an audit: when it stops, that it gets on, and what is said of it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from conftest import Bands
from deceive.auditing import AuditSettings, Interface, Scaling, audit
from deceive.auditing.budget import Budget, OutOfTime
from deceive.auditing.pace import cost_of
from deceive.common.errors import InputError
from deceive.common.progress import Tick
from deceive.data.dataset import Stack
from deceive.storage.runs import Run
from worlds.audits import TINY, quiet

OPTIONS = {"judge": None, "interface": Interface(Scaling())}


class Clock:
    """It moves only when it is told to; copies of a model share it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def __deepcopy__(self, memo: object) -> "Clock":
        return self


class Slow(Bands):
    """Every image takes a second."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(sure=12)
        self.clock = clock

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.clock.now += len(images)
        return super().forward(images)


@contextmanager
def never(words: str) -> Iterator[Tick]:
    """A task for which the time is up before it begins."""
    raise OutOfTime
    yield quiet


def kept(folder: Path) -> tuple[int, int]:
    """Rows, and groups of the part that is next."""
    run = Run.open(folder)
    return len(run.rows()), len(run.arrays_like("*-from-*"))


def test_every_call_gets_on_however_short_its_budget_is(data, tmp_path):
    looks, before = itertools.count(), (0, 0)
    for _ in range(5):
        budget = Budget(1e-9, lambda: float(next(looks)))
        report = audit(Bands(sure=12), data, settings=TINY, out=tmp_path, budget=budget, **OPTIONS)
        assert not report.complete
        assert before < (before := kept(tmp_path))


def test_a_part_that_fails_every_time_keeps_no_other_from_its_turn(data, tmp_path, monkeypatch):
    class Shy(Bands):
        def forward(self, images):
            if len(images) == 20:  # garbage
                raise RuntimeError("not today")
            return super().forward(images)

    options = OPTIONS | {"settings": TINY, "out": tmp_path}
    calls = [audit(Shy(sure=12), data, task=never, **options)]  # plans whole parts
    monkeypatch.setattr(Budget, "stop", 0.0)  # each call ends as soon as it keeps anything
    calls += [audit(Shy(sure=12), data, budget=1e-9, **options) for _ in range(5)]
    left = [len(report.missing) for report in calls]
    assert left == sorted(left, reverse=True)
    assert len(set(left)) == len(left)
    assert calls[-1].failures


def test_where_even_the_least_takes_longer_the_call_is_not_stopped(data, tmp_path):
    clock, said = Clock(), []
    options = OPTIONS | {"out": tmp_path, "tell": said.append}
    report = audit(Slow(clock), data, budget=Budget(10, clock), **options)
    assert report.complete
    assert report.planned.real_images == 20
    assert clock.now > 1.5 * 10
    assert said[0].startswith("Time: up to about ")
    assert "more than the budget of 10 s, because even the shortest audit" in said[0]
    expected = float(said[0].split()[4].replace(",", ""))
    assert clock.now < 1.5 * expected


def test_what_is_set_does_not_stretch_the_budget(data):
    clock, said = Clock(), []
    settings = AuditSettings(candidates=50, steps=200, garbage_images=200)
    report = audit(
        Slow(clock), data, settings=settings, budget=Budget(600, clock), tell=said.append, **OPTIONS
    )
    assert not report.complete
    assert "with these settings. This call ends after about 900 s" in said[0]


def test_what_precedes_the_plan_counts(data):
    clock, said = Clock(), []
    limit = Budget(1000, clock)
    clock.now = 1700  # say, a judge was trained
    report = audit(Slow(clock), data, budget=limit, tell=said.append, **OPTIONS)
    assert report.complete
    assert "more than the budget of 1,000 s, because the preparation took 1," in said[0]


def test_an_audit_that_is_finished_says_so(data, tmp_path):
    said = []
    options = OPTIONS | {"settings": TINY, "out": tmp_path, "tell": said.append}
    whole = audit(Bands(sure=12), data, **options)
    said.clear()
    assert audit(Bands(sure=12), data, **options) == whole
    (tmp_path / "report.html").touch()
    audit(Bands(sure=12), data, budget=600, **options)
    assert said == [
        f"This audit is already finished: {tmp_path / 'audit.json'}. --fresh starts over.",
        "This audit is already finished, and nothing was left out: "
        f"{tmp_path / 'report.html'}. --fresh starts over.",
    ]


def test_a_plan_stays_whatever_the_next_budget_is(data, tmp_path):
    clock, said = Clock(), []
    options = OPTIONS | {"out": tmp_path, "tell": said.append}
    model = Slow(clock)

    first = audit(model, data, budget=Budget(2000, clock), task=never, **options)
    assert not first.complete
    assert first.reductions
    said.clear()
    again = audit(model, data, budget=Budget(1e6, clock), **options)
    assert again.complete
    assert again.planned == first.planned
    again = "--fresh, or another folder (--out), starts with a new plan."
    assert said[0] == (
        "This audit keeps its plan (made for 2,000 s); this call works on it for 1,000,000 s. "
        + again
    )
    said.clear()
    audit(model, data, budget=None, **options)
    assert said == [
        f"This audit was planned for 2,000 s and is already finished: {tmp_path / 'audit.json'}. "
        f"Another budget adds nothing to it; {again}"
    ]


@pytest.mark.parametrize("seconds", [0, -5, float("nan"), float("inf"), "soon"])
def test_a_budget_is_seconds_above_0(seconds):
    with pytest.raises(InputError, match="budget: expected seconds above 0, or none; got "):
        Budget(seconds)


def test_a_call_counts_as_hanging_when_it_is_late_and_silent():
    clock = Clock()
    limit = Budget(100, clock)
    assert limit.patience == 200
    tick = limit.watched(quiet, lambda: True)
    clock.now = 140
    tick(0, 1)
    assert limit.patience == 100
    limit.stretch(500)
    assert (limit.patience, limit.stop) == (860, 750)
    clock.now = 751
    with pytest.raises(OutOfTime):
        tick(0, 1)
    assert Budget(1, clock).patience == 61


def test_timing_a_model_takes_little_of_a_budget():
    clock, spare = Clock(), 0.5

    def work(images):
        clock.now += 0.001 + 0.003 * len(images)

    cost = cost_of(work, Stack(torch.zeros(4, 1, 2, 2)), clock, 500, spare)
    assert (cost.call, cost.image) == pytest.approx((0.001, 0.003))
    assert clock.now < 1.5 * spare
