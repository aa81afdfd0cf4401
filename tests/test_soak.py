"""A short campaign: every reader meets seeded damage, every kind of run is killed and resumed."""

import gzip
import io
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from soak import mutations
from soak.counts import Counts, Tally, keep, unwritten, written
from soak.kills import differences, halves
from soak.mutations.bombs import array_of_zeros, zeros_packed
from soak.readers import READERS

GOOD = json.dumps({"name": "a", "sizes": [1, 2, {"deep": None}], "share": 0.5}).encode()
HERE = Path(__file__).parent

# Failures of a campaign that were mended.
CORPUS = sorted((HERE / "corpus").glob("*.json"))

# What is quick; `make soak` takes all of them.
SHORT = ("idx", "idx-gz", "csv", "cifar", "network", "onnx", "settings", "audit-json", "calls",
         "commands", "folder-rounds-draw", "folder-audit")  # fmt: skip
KILLED = ("train", "fool", "rounds-study", "draw", "leaderboard")


def soak(*arguments):
    """`python -m soak` in a process of its own, on one thread."""
    return subprocess.run(
        [sys.executable, "-m", "soak", *map(str, arguments)],
        cwd=HERE.parent,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """What a short campaign with a seed of its own counted."""
    folder = tmp_path_factory.mktemp("soak")
    only = ",".join([*SHORT, *(f"kill-{name}" for name in KILLED)])
    limits = ("--cases", 200, "--kills", 2, "--seed", 1, "--workers", 1)
    kept, counts = folder / "failures", folder / "counts.json"
    ended = soak(
        *limits, "--only", only, "--failures", kept, "--json-to", counts, "--replay", *CORPUS
    )
    assert counts.exists(), ended.stderr
    return json.loads(counts.read_text()), ended.stdout


@pytest.mark.parametrize("reader", SHORT)
def test_damaged_input_is_read_as_something_valid_or_refused_in_a_sentence(campaign, reader):
    counts, said = campaign
    found = counts["readers"][reader]
    assert found["failures"] == {}, said
    assert found["cases"] == READERS[reader].share(200)
    assert found["outcomes"]["refused"] >= 0.2 * found["cases"]


@pytest.mark.parametrize("run", KILLED)
def test_a_killed_run_ends_as_one_that_was_not(campaign, run):
    counts, said = campaign
    assert counts["runs"][run]["failures"] == {}, said
    assert counts["runs"][run]["outcomes"] == {"equal": 2}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_failed_once_does_so_no_more(campaign, path):
    assert f"{path}: fixed" in campaign[1]


@pytest.mark.parametrize("kinds", [mutations.BYTES, mutations.JSON, mutations.NPZ])
def test_the_same_seed_makes_the_same_damage_and_another_one_mostly_another(kinds):
    once, again = (
        [mutations.mutate(GOOD, random.Random(seed), kinds) for seed in range(200)]
        for _ in range(2)
    )
    assert once == again
    assert len(set(once)) > 150
    assert once.count(GOOD) < 20


def test_damaged_json_is_mostly_still_json_and_some_of_it_has_a_key_twice():
    damaged = [mutations.change_json(GOOD, random.Random(seed)) for seed in range(300)]
    pairs = []
    for each in damaged:
        try:
            json.loads(each, object_pairs_hook=lambda found: pairs.append(found) or dict(found))
        except RecursionError:
            continue
    assert any(len(dict(found)) < len(found) for found in pairs)


def test_bombs_are_whole_files_of_zeros():
    size = 2**22
    assert gzip.decompress(zeros_packed(size)) == bytes(size)
    zeros = np.load(io.BytesIO(array_of_zeros("images.npy", size)))["images"]
    assert (zeros.shape, zeros.dtype, zeros.any()) == ((size,), np.uint8, False)
    assert len(array_of_zeros("images.npy", size)) < size / 500


def test_half_a_file_and_one_that_differs_are_found_and_temporary_ones_are_not(tmp_path):
    came, whole = tmp_path / "came", tmp_path / "whole"
    for folder in (came, whole):
        folder.mkdir()
        (folder / "settings.json").write_text('{"seed": 0}\n')
        (folder / "rows.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    assert halves(came) == differences(came, whole) == []
    (came / ".deceive-x.tmp").write_text("half")
    assert halves(came) == differences(came, whole) == []
    (came / "rows.jsonl").write_text('{"a": 1}\n{"a"')
    (came / "ten.npz").write_bytes(b"PK\x03\x04")
    (came / "settings.json").unlink()
    assert [each.split(": ")[1] for each in halves(came)] == ["rows.jsonl", "ten.npz"]
    assert differences(came, whole) == [
        "missing: settings.json",
        "too many: ten.npz",
        "differs: rows.jsonl",
    ]


def test_a_failure_is_kept_once_with_the_files_that_it_takes(tmp_path):
    good = {"a": b"good", "b": b"good", "c": b"good"}
    files = {"a": b"text", "b": b"\x00\xff", "d": b""}
    failure = {"reader": "idx", "seed": 3, "number": 7, "kind": "KeyError at x", "said": "…"}
    path = keep(tmp_path, failure | {"files": written(files, good)})
    assert unwritten(json.loads(path.read_text())["files"], good) == files
    assert keep(tmp_path, failure | {"number": 8}) is None
    assert keep(tmp_path, failure | {"kind": "another"}) is not None


def test_the_table_of_counts_adds_up():
    tally = Tally(cases=3)
    tally.outcomes.update(accepted=1, refused=1)
    tally.failures["KeyError at x"] += 1
    counts = Counts({"idx": tally}, {"train": Tally(cases=2)})
    assert counts.failed == 1
    assert counts.table().endswith("failed: idx: 1 × KeyError at x\n3 inputs, 2 kills, 1 failures")
