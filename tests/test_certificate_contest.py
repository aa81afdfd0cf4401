"""The contest of proofs and attacks: its rows and its table."""

import json

import pytest
import torch
from benchmarks import table
from benchmarks.contests import certificate

from deceive.certifying.core import Box


@pytest.fixture(scope="module")
def results():
    return list(certificate.run(certificate.QUICK))


@pytest.mark.shipped
def test_what_is_proved_is_never_more_than_what_holds(results):
    assert [result["whole"] is None for result in results] == [False, False]  # the same, growing
    (row,) = results[-1]["rows"]
    for found in row["kinds"].values():
        assert found["proved"] == sorted(found["proved"], reverse=True)
        assert found["auc"] >= found["guaranteed_auc"] - 1e-6
        assert found["attacked_auc"] >= found["guaranteed_auc"] - 1e-6
    whole = results[-1]["whole"]
    assert whole["proved"] >= 0.9 > whole["proved_without"]
    assert whole["accuracy"] > 0.97


@pytest.mark.shipped
def test_its_rows_make_the_table(results, tmp_path):
    (tmp_path / "certificate.json").write_text(json.dumps(results[-1]))
    text = table.make(tmp_path, pictures=tmp_path)
    assert "| gaussian | 100% | 100% | 100% |" in text
    assert "`resist` with `fast` behind it and the detector of seed 0: reads" in text


@pytest.mark.shipped
def test_rows_that_are_there_are_kept(results):
    again = list(certificate.run(certificate.QUICK, results[-1]))
    assert again == []


@pytest.mark.shipped
def test_a_wrong_bound_stops_it(monkeypatch):
    def wrong(detector, images, epsilon):
        return Box(*(torch.full((2, len(images)), -1e4, dtype=torch.float64)))

    monkeypatch.setattr(certificate, "log_odds", wrong)
    with pytest.raises(RuntimeError, match="the bound is wrong"):
        next(certificate.run(certificate.QUICK))
