"""The contest of resistance, on networks of known answers, and its table."""

import json

import pytest
import torch
import torch.nn.functional as F
from benchmarks import table
from benchmarks.contests import resistance
from benchmarks.contests.resistance import OURS, Plan, attacks, candidates, held
from torch import nn

from conftest import Bands
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.meeting import meet
from deceive.common.errors import InputError
from worlds.audits import band_data

SMALL = Plan(count=4, steps=300, restarts=2, shown=2)


class Masked(nn.Module):
    """`Bands` that answers as ever, and whose gradient is nothing but zeros."""

    image_shape = (1, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands(sure=12)

    def forward(self, images):
        return self.bands(images).detach() + 0 * images.sum()


class Blind(nn.Module):
    """A judge that sees the same class, which is never a target, in everything."""

    def forward(self, images):
        return F.one_hot(torch.full((len(images),), 4), 5).float()


def contest(network, judge, others=None, done=()):
    case = candidates(network, band_data(), SMALL)
    listed = attacks(network, others or {}, SMALL, libraries=())
    judges = [meet(load_model(judge), band_data())]
    return case, list(held(case, listed, judges, done))


def result_of(case, rows):
    facts = {"date": "today", "processor": "one", "cores": 2, "threads": 1}
    facts |= {"load_average_at_start": 0.0, "working_dtype": "float32"}
    facts["versions"] = {"torch": "2", "foolbox": "3", "adversarial-robustness-toolbox": "1"}
    return {
        "facts": facts,
        "plan": {"model": "bands", "count": 4},
        "judges": ["blind"],
        "thresholds": resistance.passing(case, band_data()),
        "rows": rows,
    }


@pytest.fixture(scope="module")
def masked():
    return contest(Masked(), Blind())


@pytest.fixture(scope="module")
def honest():
    return contest(Bands(sure=12), Blind(), {"twin": Bands(sure=12)})


def found(rows, threshold="asked", measure="gibberish"):
    """The share of candidates that each attack succeeds with."""
    bits = {row["attack"]: row["outcomes"][threshold][measure] for row in rows}
    return {name: its.count("1") / len(its) for name, its in bits.items()}


def made_by(folder, case, rows):
    folder.mkdir()
    (folder / "resistance-bands.json").write_text(json.dumps(result_of(case, rows)))
    return table.make(folder, pictures=folder)


def test_a_masked_gradient_is_found_out(masked, tmp_path):
    case, rows = masked
    by_family = {row["attack"]: row["family"] for row in rows}
    shares = found(rows)
    assert shares["squares, 300 queries"] == 1
    assert all(shares[name] < 0.1 for name, family in by_family.items() if family == OURS)
    text = made_by(tmp_path / "masked", case, rows)
    assert "Gibberish at 99%: the best of ours, momentum, 3 steps, finds 0.0%" in text
    assert "Better: squares, 300 queries (100.0%, ours there 0.0%)" in text
    assert "Found by others alone: 4 of 24 candidates." in text


def test_an_honest_gradient_is_not_beaten(honest, tmp_path):
    case, rows = honest
    shares = found(rows)
    assert shares["momentum, 300 steps"] == shares["made for twin, 30 steps"] == 1
    assert all(row["mean_confidence_in_gibberish"] > 0.2 for row in rows)
    text = made_by(tmp_path / "honest", case, rows)
    assert text.count("None of the others did better. Found by others alone: 0 of 24") == 4
    assert (tmp_path / "honest" / "resistance-bands.png").read_bytes().startswith(b"\x89PNG")


def test_what_the_judge_sees_as_well_is_no_gibberish():
    _, rows = contest(Bands(sure=12), Bands(sure=9))
    assert found(rows, measure="fooled")["momentum, 300 steps"] == 1
    assert max(found(rows).values()) < 0.3
    (ours,) = (row for row in rows if row["attack"] == "adam, 300 steps")
    assert ours["ends_in_gibberish"] == 0
    assert ours["mean_confidence_in_gibberish"] is None


def test_the_own_threshold_is_what_real_images_reach(honest):
    case, _ = honest
    passed = resistance.passing(case, band_data())
    assert set(passed) == {"asked", "own"}
    assert passed["own"]["confidence"] == case.thresholds["own"]
    assert 0.85 < passed["own"]["test_share"] < 1


def test_what_is_done_is_not_done_again(honest):
    _, rows = honest
    names = [row["attack"] for row in rows]
    assert len(set(names)) == len(names)
    assert contest(Bands(sure=12), Blind(), {"twin": Bands()}, done=names)[1] == []


def test_all_attacks_try_the_same_candidates(honest):
    case, rows = honest
    assert len(case.targets) == len(case.start(0)) == 24
    assert not torch.equal(case.start(0), case.start(1))
    assert {row["candidates"] for row in rows if row["family"] == "search"} == {4}
    assert {row["candidates"] for row in rows if row["family"] != "search"} == {24}


@pytest.mark.parametrize("asked", [{"count": 0}, {"steps": 99}])
def test_a_contest_of_nothing(asked):
    with pytest.raises(InputError, match="expected a count of at least 1 and at least 100 steps"):
        Plan(**asked)


def test_rows_of_another_plan_are_not_gone_on_with():
    earlier = {"plan": {"model": "fast"}, "weights_sha256": "0", "judges": [], "rows": []}
    with pytest.raises(InputError, match=r"expected earlier rows of plan .* without --resume"):
        next(resistance.run(Plan(), earlier))
