"""Every kind of file that is read, damaged by seed: it is read all the same, or is one sentence."""

import gzip
import json
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from soak import mutations

from deceive.auditing import AuditSettings, audit, read_report
from deceive.auditing.leaderboard import write_leaderboard
from deceive.auditing.record.assemble import assemble
from deceive.common.errors import InputError
from deceive.data.dataset import Dataset, Split
from deceive.data.idx import read_idx
from deceive.networks.classifier import Classifier
from deceive.reporting.audit import write_audit_page
from deceive.reporting.figures import shown_rounds, study_pictures
from deceive.reporting.rounds import write_rounds_page
from deceive.reporting.study import write_study_page
from deceive.storage.models import load_network, save_network
from deceive.storage.runs import Run, round_name
from deceive.teaching import PRESETS, EmergingSettings, RetrainingSettings
from deceive.teaching.checkpoint import load, save
from deceive.teaching.loop import game_of
from worlds.records import CARD, audit_content, study_folder


def survive(path, kinds, read, count, first=0):
    """Damage a file so many times; each time it is read, or refused in one sentence."""
    good = path.read_bytes()
    refused = 0
    for seed in range(first, first + count):
        path.write_bytes(mutations.mutate(good, Random(seed), kinds))
        try:
            read()
        except InputError as error:
            refused += 1
            lines = len(str(error).splitlines())
        except Exception as error:
            raise AssertionError(f"seed {seed} of {path.name}") from error
        else:
            lines = 1
        assert lines == 1, (seed, path.name)
    path.write_bytes(good)
    read()
    assert refused > count / 5


@pytest.fixture(scope="module")
def data():
    images = torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.arange(24) % 4)
    return Dataset(split, split, split, 4, "c" * 64, Path("tiny"))


def test_weights_and_cards(tmp_path):
    path = tmp_path / "net.safetensors"
    card = CARD.model_copy(
        update={"architecture": "reader", "n_outputs": 2, "image_shape": (1, 8, 8)}
    )
    save_network(Classifier("reader", 2, (1, 8, 8)), path, card)
    survive(path, mutations.SAFETENSORS, lambda: load_network(path), 60)
    survive(path.with_suffix(".json"), mutations.JSON, lambda: load_network(path), 150)


def test_weights_whose_card_fits_the_damage(tmp_path, monkeypatch):
    test_weights_and_cards(tmp_path)
    path = tmp_path / "net.safetensors"

    class Same:
        def hexdigest(self):
            return json.loads(path.with_suffix(".json").read_bytes())["weights_sha256"]

    monkeypatch.setattr("deceive.storage.models.hashlib.sha256", lambda content: Same())
    survive(path, mutations.SAFETENSORS, lambda: load_network(path), 100, first=1000)


def test_gzipped_data(tmp_path):
    path = tmp_path / "images.gz"
    header = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (20, 8, 8))
    path.write_bytes(gzip.compress(header + bytes(range(256)) * 5, mtime=0))
    survive(path, mutations.GZIPPED_IDX, lambda: read_idx(path), 100)


def test_the_folder_of_a_study(tmp_path):
    run = study_folder(tmp_path / "run")

    def report():
        write_study_page(Run.open(run.folder))

    survive(run.folder / "rows.jsonl", mutations.JSON_LINES, report, 12)
    survive(run.folder / "settings.json", mutations.JSON, report, 6)
    survive(run.folder / "environment.json", mutations.JSON, report, 4)
    survive(run.folder / "arrays" / "filmstrip.npz", mutations.NPZ, report, 4)
    survive(
        run.folder / "arrays" / "improved_model_predictions.npz",
        mutations.NPZ,
        lambda: study_pictures(Run.open(run.folder)),
        4,
    )


def round_row(number):
    return {
        "part": "round",
        "round": number,
        "seconds": 1.5,
        "images": 8,
        "fooling_rate": 1.0,
        "gibberish_rate": 0.5,
        "median_steps": 3.0,
        "judge_agreement": 0.5,
        "digits_sure": 0.9,
        "rubbish_caught": 0.5,
        "digits_read_in_noise": 0.5,
        "validation_accuracy": 0.9,
        "test_accuracy": 0.9,
    }


def test_the_folder_of_rounds(tmp_path):
    settings = PRESETS["resist"].model_dump(mode="json") | {"data_checksum": "c"}
    run = Run(tmp_path / "run", settings)
    for number in (0, 30):
        run.save_arrays(
            round_name(number),
            levels=np.zeros((8, 1, 8, 8), np.uint8),
            targets=np.arange(8) % 4,
            confidence=np.ones(8, np.float32),
            fooled=np.ones(8, bool),
            steps=np.ones(8, np.int64),
        )
        run.add(round_row(number))
    run.add({"part": "rollback", "round": 9, "to": 0, "because": "x", "learning_rate": 1e-3})

    def report():
        again = Run.open(run.folder)
        shown_rounds(again)
        write_rounds_page(again)

    survive(run.folder / "rows.jsonl", mutations.JSON_LINES, report, 60)
    survive(run.folder / "settings.json", mutations.JSON, report, 30)
    survive(run.folder / "arrays" / "round-000030.npz", mutations.NPZ, report, 40)


@pytest.mark.parametrize("kind", ["draw", "study"])
def test_checkpoints(tmp_path, data, kind):
    changes = {"training_images": 100, "candidates": 8, "rounds": 6, "judged": 0}
    if kind == "draw":
        settings = EmergingSettings(**changes, kept=16)
    else:
        del changes["judged"]
        settings = RetrainingSettings(**changes, network="reader", noise_images=12)
    game, again = game_of(data, settings), game_of(data, settings)
    path = tmp_path / "checkpoint.safetensors"
    game.number = 3
    save(game, path)
    survive(path, mutations.SAFETENSORS, lambda: load(again, path), 40)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": None}, "number: expected a whole number"),
        ({"number": 7}, "it is of round 7 of 6"),
        ({"number": -1}, "number: expected a number of at least 0"),
        ({"seconds": "long"}, "seconds: expected a number"),
        ({"slowed": 0}, "slowed: expected a number greater than 0"),
        ({"candidates.targets": torch.full((16,), 4)}, "candidates.targets should be finite and"),
        ({"candidates.levels": torch.zeros(16, 8, 8)}, "candidates.levels should be torch.uint8"),
        ({"vitals": torch.tensor([0.5, torch.nan])}, "vitals should be finite and from 0 to 1"),
        ({"vitals": None}, "vitals should be there"),
        ({"extra": torch.zeros(1)}, "extra should be absent"),
        ({"vitals": torch.tensor([0.25, 0.75])}, "its tensors are not those that were saved"),
        ({"digest": "00"}, "its tensors are not those that were saved"),
    ],
)
def test_a_checkpoint_says_what_is_wrong_with_it(tmp_path, data, change, said):
    settings = EmergingSettings(candidates=8, rounds=6, judged=0, kept=16)
    game = game_of(data, settings)
    path = tmp_path / "checkpoint.safetensors"
    save(game, path)
    with safe_open(path, "pt") as stored:
        facts = json.loads(stored.metadata()["facts"])
        state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    facts |= {name: value for name, value in change.items() if name in facts}
    state |= {name: value for name, value in change.items() if name not in facts}
    state = {name: value for name, value in state.items() if value is not None}
    save_file(state, path, {"facts": json.dumps(facts)})
    with pytest.raises(InputError, match=rf"checkpoint of this run.*; {re.escape(said)}"):
        load(game, path)


@pytest.mark.parametrize(
    ("line", "change", "said"),
    [
        (2, {"fooling_rate": "0.5"}, "fooling_rate: expected a number"),
        (2, {"judge_agreement": 1.5}, "judge_agreement: expected a share, 0 to 1, got 1.5"),
        (2, {"candidates": True}, "candidates: expected a whole number"),
        (3, {"stage": 3}, "stage: expected 1 or 2"),
        (3, {"part": "rubish"}, "got one with part 'rubish'"),
        (3, {"part": ["rubbish"]}, r"got one with part ['rubbish']"),
        (5, {"seconds": None}, "seconds: expected a number"),
    ],
)
def test_a_row_of_a_study_says_where_and_what_is_wrong(tmp_path, line, change, said):
    run = study_folder(tmp_path / "run")
    path = run.folder / "rows.jsonl"
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    rows[line - 1] |= change
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        InputError, match=rf"line {line}: expected a row of a study.*{re.escape(said)}"
    ):
        write_study_page(Run.open(run.folder))


def test_the_folder_of_an_audit(tmp_path, data):
    class Reads(torch.nn.Module):
        image_shape = (1, 8, 8)

        def forward(self, images):
            return images.flatten(1)[:, :4] * 9

    few = AuditSettings(
        candidates=4, steps=3, curve_candidates=2, searched=2, queries=100, garbage_images=10
    )
    folder = tmp_path / "run"
    audit(Reads(), data, judge=None, settings=few, out=folder)

    def report():
        assemble(Run.open(folder))

    survive(folder / "rows.jsonl", mutations.JSON_LINES, report, 15)
    survive(folder / "settings.json", mutations.JSON, report, 8)
    for name in ("attack-sign-uniform-0", "search-squares-passed"):
        survive(folder / "arrays" / f"{name}.npz", mutations.NPZ, report, 8)
    for name in ("curve-momentum-uniform", "garbage-uniform"):
        path = folder / "arrays" / f"{name}.npz"
        survive(path, mutations.NPZ, lambda: write_audit_page(Run.open(folder)), 2)


def test_an_audit_json(tmp_path):
    path = tmp_path / "audit.json"
    path.write_text(json.dumps(audit_content()))
    board = tmp_path / "board.md"
    survive(path, mutations.JSON, lambda: write_leaderboard([path], board), 150)
    assert read_report(path).worst_rate == 0.8
