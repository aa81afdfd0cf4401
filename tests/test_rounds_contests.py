"""Contests about rounds: what each part buys, a literal round, polishing, cost; their tables."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmarks import table
from benchmarks.contests import ablation, literal, polishing, scaling
from benchmarks.pictures import stripped

from deceive.common.errors import InputError
from deceive.data.dataset import Split
from deceive.data.loading import load_data
from deceive.fooling.drawing import ACCEPTED, POLISH
from deceive.storage.models import load_network
from deceive.teaching import PRESETS
from worlds.contests import FACTS


@pytest.mark.parametrize("variant", ablation.VARIANTS)
def test_a_variant_is_the_preset_but_for_one_thing(variant):
    settings = ablation._settings(variant, 3, ablation.QUICK)
    assert (settings.seed, settings.rounds) == (3, 3)
    usual = PRESETS["draw"].model_dump() | ablation.LARGE
    given = settings.model_dump()
    differs = {name for name in usual if given[name] != usual[name]}
    assert differs - {"seed", "rounds", "shown", "measured", "judged"} == set(
        ablation.VARIANTS[variant]
    )


def test_the_table_of_parts_says_what_diverged(tmp_path):
    measured = {
        "judge_agreement": 0.9,
        "coverage": 0.5,
        "density": 0.4,
        "validation_accuracy": 0.98,
        "seconds": 100.0,
        "shown": stripped(np.zeros((4, 1, 8, 8), np.uint8)),
    }
    rows = [
        {"variant": "as it is", "seed": seed, "frechet_distance": 1.0 + seed} | measured
        for seed in (0, 1, 2)
    ]
    rows += [{"variant": "no noise at all", "seed": seed, "ended": "NaN"} for seed in (0, 1)]
    result = {"facts": FACTS, "plan": {"seeds": 3, "rounds": 1000, "count": 500}, "rows": rows}
    (tmp_path / "ablation.json").write_text(json.dumps(result))
    text = table.make(tmp_path, pictures=tmp_path)
    assert "| as it is | 90% | 2 (1–3) | 0.5 | 0.4 | 98% | 100 |  |" in text
    assert "| no noise at all | – | – | – | – | – | – | 2 of 2 diverged |" in text


@pytest.mark.shipped
def test_the_original_recipe_reaches_its_confidence_one_by_one(monkeypatch):
    network, asked = load_network("study"), []
    forward = network.forward

    def listening(images):
        logits = forward(images)
        asked.append((len(images), logits.detach().softmax(1).max().item()))
        return logits

    monkeypatch.setattr(network, "forward", listening)
    literal.one_by_one(network, 3, seed=0)
    assert {count for count, _ in asked} == {1}
    assert sum(sure >= 0.99 for _, sure in asked) >= 3
    assert asked[-1][1] >= 0.99


def test_a_literal_round_and_its_table(tmp_path):
    digits = load_data()
    few = [Split(each.images[:200], each.labels[:200]) for each in (digits.validation, digits.test)]
    plan = replace(literal.QUICK, share=1, batches=2, candidates=10)
    (result,) = literal.run(plan, replace(digits, validation=few[0], test=few[1]))
    ours, original = result["rows"]
    assert (ours["recipe"], original["recipe"]) == ("deceive", "original")
    for row in (ours, original):
        assert row["seconds"] == row["fooling"] + row["training"] > 0
    (tmp_path / "literal.json").write_text(json.dumps(result))
    assert "The original's time over ours: " in table.make(tmp_path, pictures=tmp_path)


@pytest.mark.parametrize("variant", polishing.VARIANTS)
def test_a_way_to_draw_is_the_usual_one_but_for_what_it_says(variant):
    told, change = polishing.options(variant), polishing.VARIANTS[variant]
    assert told["accepted"] == change.get("accepted", ACCEPTED)
    if change.get("polish", {}) is None:
        assert told["polish"] is None
    else:
        given = told["polish"].model_dump()
        differs = {name for name, value in POLISH.model_dump().items() if given[name] != value}
        assert differs == set(change.get("polish", {}))
        assert type(POLISH)(**given) == told["polish"]  # no change is one that an ascent refuses


def test_training_images_are_compared_with_others():
    many, few = polishing._apart(load_data().first(300), 3, 2)
    assert (len(many), len(few)) == (30, 20)
    assert torch.cdist(many.flatten(1), few.flatten(1)).min() > 0


@pytest.mark.shipped
def test_ways_to_draw_go_on_and_make_a_table(tmp_path):
    settings = polishing.QUICK
    *_, result = polishing.run(settings)
    usual, rough = result["rows"]
    assert (usual["variant"], rough["variant"]) == settings.variants
    assert usual["judge_agreement"] > 0.9
    assert usual["frechet_distance"] != rough["frechet_distance"]
    assert result["floor"]["frechet_distance"] > 0
    kept = result | {"rows": [usual]}
    *_, again = polishing.run(settings, kept)
    assert again["rows"][0] is usual
    assert again["rows"][1]["frechet_distance"] == rough["frechet_distance"]
    (tmp_path / "polishing.json").write_text(json.dumps(again))
    text = table.make(tmp_path, pictures=tmp_path)
    assert "30 images" not in text
    assert "3 images of each class, drawn as `draw` does it but for one thing" in text
    assert "| real images | " in text
    with pytest.raises(InputError, match="polishing: expected rows of draw as it is, got another"):
        next(polishing.run(settings, result | {"weights_sha256": "0" * 64}))


def test_what_is_varied_is_varied_alone_and_told(tmp_path):
    *_, result = scaling.run(scaling.QUICK)
    for row in result["rows"]:
        assert row["processor_seconds"] > 0
        usual = result["sizes"][row["what"]]
        differs = {name for name, value in usual.items() if row[name] != value}
        assert differs <= {"side" if row["axis"] == "pixels" else row["axis"]}
    (tmp_path / "scaling.json").write_text(json.dumps(result))
    text = table.make(tmp_path, pictures=tmp_path)
    assert "a round: 64 candidates, 2 steps, one step of the `draw` network" in text
    assert "| fool | images | 10: " in text


def test_the_slope_is_the_exponent():
    assert scaling.slope([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
