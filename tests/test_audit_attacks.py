"""The candidates of an audit, its gradient attacks, and what became of the candidates."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from conftest import Bands
from deceive.auditing import audit
from deceive.auditing.attacks import WAYS, attack, curve
from deceive.auditing.candidates import targets_of
from deceive.auditing.parts.attack import attack_parts
from deceive.auditing.record.outcomes import attacks_of, headlines_of, outcome_of, stored_outcomes
from deceive.auditing.record.planned import Groups
from deceive.auditing.record.rows import attacked_in
from deceive.auditing.settings import CERTAIN, AuditSettings, budgets
from deceive.auditing.verdict import verdict
from deceive.fooling.fool import fool
from deceive.fooling.starts import begin
from deceive.networks.frozen import FrozenCopy
from deceive.storage.runs import Run
from worlds.audits import (
    TINY,
    Strict,
    after_clean,
    context_of,
    outcome,
    quiet,
)


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
        f"33 of 44 attempts (75.0%), in a median of {found.gibberish_median:g} steps"
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


def test_groups_are_put_together(data, tmp_path):
    def found(group):
        context = context_of(Bands(sure=12), tmp_path / str(group), data)
        context = replace(context, groups=Groups(questions=100, candidates=group, searched=100))
        parts = attack_parts(after_clean(context))
        rows = [part.run(context, quiet) for part in parts]
        return [
            (row.attacked, stored_outcomes(context.run, row.attacked, context.sizes))
            for row in rows
        ]

    together, cut = found(100), found(3)
    assert len(cut) > 2 * len(together)
    assert attacks_of(cut) == attacks_of(together)
    assert headlines_of(cut) == headlines_of(together)


def frozen(model):
    return FrozenCopy(model, torch.zeros(1, *model.image_shape))


@pytest.mark.parametrize(("way", "steps"), [("momentum", 8), ("restarts", 4)])
def test_thresholds_together_find_what_each_finds_alone(way, steps):
    def found(thresholds):
        return attack(
            frozen(Bands(sure=8)),
            WAYS[way],
            lambda attempt: begin("uniform", range(12), (1, 4, 4), attempt),
            targets_of(range(12), 4, 12),
            thresholds,
            AuditSettings(steps=steps, restarts=3),
            lambda progress: None,
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
    arrays = curve(
        frozen(model), way, start, targets, budgets=asked, seed=1, callback=lambda now: None
    )
    assert (np.diff(arrays["confidence"], axis=0) >= 0).all()
    for place, steps in enumerate(asked):
        options = {"confidence": CERTAIN, "start": start, "steps": steps, "seed": 1}
        alone = fool(model, targets, ascent=way.ascent, **options)
        np.testing.assert_array_equal(arrays["levels"][place], alone.levels)
        np.testing.assert_allclose(arrays["confidence"][place], alone.confidence, atol=1e-6)
    assert (alone.fooled & (alone.steps < 30)).any()


def test_budgets_are_powers_and_threes():
    assert budgets(200) == [1, 3, 10, 30, 100, 200]
    assert budgets(1000, least=30) == [30, 100, 300, 1000]
    assert budgets(1) == [1]
    assert budgets(10_000)[-3:] == [1000, 3000, 10_000]
