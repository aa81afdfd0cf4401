"""The speedrun: its entries, rows and table."""

import json
from dataclasses import replace

import pytest
import torch
from benchmarks import table
from benchmarks.__main__ import main
from benchmarks.contests import speedrun, training
from benchmarks.entries import ENTRIES, Entry, ours
from torch import nn

from deceive.common.errors import InputError
from deceive.data.dataset import Split
from deceive.data.loading import load_data
from deceive.training.settings import TrainingSettings

TINY = ours.Recipe(0.9, (8, 8), TrainingSettings(epochs=1, batch_size=50), hidden=16)


@pytest.fixture
def few():
    data = load_data()
    few = [Split(each.images[:200], each.labels[:200]) for each in (data.validation, data.test)]
    return replace(data, validation=few[0], test=few[1])


@pytest.fixture
def tiny(monkeypatch):
    entries = {
        "quick": Entry(0.1, TINY.train, "a quick one"),
        "hopeless": Entry(1.0, TINY.train, "a hopeless one"),
    }
    monkeypatch.setattr(speedrun, "ENTRIES", entries)
    return replace(speedrun.QUICK, entries=tuple(entries), images=500)


def test_rows_make_the_table_and_are_kept(tiny, few, monkeypatch, tmp_path):
    threads = torch.get_num_threads()
    results = [json.loads(json.dumps(each)) for each in speedrun.run(tiny, data=few)]
    assert torch.get_num_threads() == threads
    assert [len(each["rows"]) for each in results] == [1, 2, 3, 4]
    for row in results[-1]["rows"]:
        assert 0 < row["test_accuracy"] < 1
        assert 0 < row["seconds"] < row["original_epoch"] * 1000
    (tmp_path / "speedrun.json").write_text(json.dumps(results[-1]))
    text = table.make(tmp_path, pictures=tmp_path)
    assert text.count("| open |") == 2
    monkeypatch.setattr(speedrun, "_SEEDS", 2)
    text = table.make(tmp_path, pictures=tmp_path)
    assert "| `quick`: a quick one | 10.00% | 2 | **" in text
    assert "| yes |" in text.split("`quick`")[1].splitlines()[0]
    assert "| no |" in text.split("`hopeless`")[1].splitlines()[0]
    again = list(speedrun.run(replace(tiny, seeds=3), results[-1], few))
    assert [(row["entry"], row["seed"]) for row in again[-1]["rows"][4:]] == [
        ("quick", 2),
        ("hopeless", 2),
    ]


def test_a_contest_prints_its_own_section_and_the_table_has_all(
    tiny, few, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(speedrun, "load_data", lambda: few)
    sizes = ["--entries", *tiny.entries, "--seeds", "1", "--images", "200"]
    main(["speedrun", "--quick", *sizes, "--out", str(tmp_path)])
    said, (written,) = capsys.readouterr().out, tmp_path.glob("*.md")
    assert said.startswith("## Speedrun")
    assert said.count("## ") == 1
    assert said.strip() in written.read_text()
    assert written.read_text().count("## ") > 5
    main(["table", "--out", str(tmp_path)])
    assert capsys.readouterr().out.strip() == written.read_text().strip()


def test_an_entry_that_is_not_there():
    with pytest.raises(InputError, match=r"entries: expected one of .*; got 'mine'"):
        next(speedrun.run(replace(speedrun.QUICK, entries=("mine",))))


@pytest.mark.usefixtures("untouched_rng")
def test_the_same_seed_trains_the_same_network_and_another_seed_another():
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(200, 1, 28, 28, generator=generator), torch.arange(200) % 10
    networks = [TINY.train(images, labels, seed) for seed in (0, 0, 1)]
    logits = [network(images[:5]) for network in networks]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])
    assert not any(module.training for module in networks[0].modules())


def test_statistics_are_those_of_the_images():
    network = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU())
    network(torch.rand(8, 1, 4, 4))
    images = torch.rand(6, 1, 4, 4) + 3
    ours.measure_again(network, images, batch=3)
    assert not network.training
    assert torch.allclose(network[0].running_mean, images.mean())
    variances = torch.stack([part.var() for part in images.split(3)])
    assert torch.allclose(network[0].running_var, variances.mean())


def test_entries_have_levels_that_rise():
    levels = [entry.level for entry in ENTRIES.values()]
    assert levels == sorted(levels)
    assert {0.99, 0.995, 0.9965} <= set(levels)


def test_the_entry_runs_beside_the_original_recipe(few, monkeypatch, tmp_path):
    monkeypatch.setattr(training, "load_data", lambda: few)
    plan = replace(training.QUICK, recipe="99.2", goal=0.01, images=1000)
    (result,) = training.run(plan)
    assert [row["recipe"] for row in result["rows"]] == ["99.2", "original"]
    assert result["settings"]["rotation"] == 5
    (tmp_path / "training.json").write_text(json.dumps(result))
    text = table.make(tmp_path, pictures=tmp_path)
    assert "| 0 | `99.2` | " in text
    assert "**`99.2` takes " in text
