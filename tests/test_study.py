import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from deceive.common.levels import from_levels
from deceive.data.dataset import Split
from deceive.data.loading import load_data
from deceive.networks.inference import probabilities_of
from deceive.storage.models import load_card, load_network
from deceive.storage.runs import Run
from deceive.study import StudySettings, study, summary
from deceive.training.rubbish import RubbishSet

SETTINGS = StudySettings(
    epochs=2,
    training_images=1000,
    candidates=2,
    steps=20,
    noise_images=120,
    fooling_images=25,
    seed=3,
)
FOOLING = {
    "candidates",
    "start",
    "confidence",
    "fooling_rate",
    "median_steps",
    "judge_agreement",
    "chance",
}


@cache
def data():
    """MNIST, with but a few images to measure on."""
    whole = load_data()

    def few(split):
        return Split(split.images[:200], split.labels[:200])

    return replace(whole, validation=few(whole.validation), test=few(whole.test))


def begin(folder):
    return Run(folder, SETTINGS.model_dump() | {"data_checksum": data().checksum})


class Tasks:
    """The tasks of a study: counts them, and does something in the midst of one of them."""

    def __init__(self, at=0, what=lambda: None):
        self.count, self.at, self.what = 0, at, what

    @contextmanager
    def __call__(self, description):
        self.count += 1
        yield self.report

    def report(self, done, total):
        assert 0 <= done <= total
        if self.count == self.at:
            self.what()


def do(run, tasks):
    return list(study(data(), run, SETTINGS, tasks))


def interrupt():
    raise KeyboardInterrupt


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def images_of(arrays):
    return from_levels(torch.from_numpy(arrays["levels"]))


def without_timings(rows):
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]


def assert_same(one, other):
    """Two runs have the same rows, but for their timings, and the same arrays and weights."""
    assert without_timings(one.rows()) == without_timings(other.rows())
    files = {path.relative_to(one.folder) for path in one.folder.rglob("*")}
    assert files == {path.relative_to(other.folder) for path in other.folder.rglob("*")}
    for path in sorted((one.folder / "arrays").iterdir()):
        arrays, others = (run.load_arrays(path.stem) for run in (one, other))
        assert arrays.keys() == others.keys()
        assert all(np.array_equal(arrays[name], others[name]) for name in arrays)
    for path in (one.folder / "weights").glob("*.safetensors"):
        assert path.read_bytes() == (other.folder / "weights" / path.name).read_bytes()


def assert_whole(run):
    """No temporary file, and none that is cut short."""
    for path in run.folder.rglob("*"):
        assert not path.name.startswith(".")
        match path.suffix:
            case ".json":
                json.loads(path.read_text())
            case ".npz":
                assert run.load_arrays(path.stem)
            case ".safetensors":
                load_network(path)
    run.rows()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that was done in one go, and how many tasks it had."""
    run = begin(tmp_path_factory.mktemp("study") / "run")
    tasks = Tasks()
    rows = do(run, tasks)
    assert rows == run.rows()
    return run, tasks.count


def test_the_rows_of_a_study(finished):
    classifier, fooling, *taught, done = finished[0].rows()
    accuracies = {"validation_accuracy", "test_accuracy"}
    assert {"part", "network", "seconds", "training_seconds"} | accuracies <= classifier.keys()
    assert fooling.keys() >= FOOLING
    assert [row["part"] for row in taught] == ["rubbish", "rubbish"]
    assert [row["stage"] for row in taught] == [1, 2]
    assert [row["rubbish_images"] for row in taught] == [120, 145]
    for row in taught:
        measured = {"name", "test_accuracy", "test_accuracy_digits", "caught", "caught_all"}
        assert FOOLING | measured <= row.keys()
    for row in (fooling, *taught):
        assert (row["candidates"], row["confidence"], row["chance"]) == (20, 0.99, 0.1)
        assert 0 <= row["fooling_rate"] <= 1
        assert (row["median_steps"] is None) == (row["fooling_rate"] == 0)
    seconds = sum(row["seconds"] for row in (classifier, fooling, *taught))
    assert done == {"part": "done", "seconds": pytest.approx(seconds)}


def test_the_arrays_are_what_the_networks_were_asked(finished):
    run, _ = finished
    for stage, name in enumerate(["mnist_confidence", "deceive_improved", "second_mispredicted"]):
        network = load_network(run.weights("clean" if stage == 0 else f"rubbish-{stage}"))
        for arrays in (run.load_arrays(name), run.load_arrays(f"candidates-{stage}")):
            asked = probabilities_of(network, images_of(arrays))
            rows = np.arange(len(asked))
            confidence = asked.numpy()[rows, arrays["targets"]]
            assert confidence == pytest.approx(arrays["confidence"], abs=1e-5)
            assert np.array_equal(arrays["fooled"], confidence >= 0.99)
    read = run.load_arrays("improved_model_predictions")
    asked = probabilities_of(load_network(run.weights("rubbish-1")), images_of(read))
    assert np.array_equal(read["predicted"], asked.argmax(1))
    assert np.array_equal(read["levels"], run.load_arrays("mnist_confidence")["levels"])
    caught = run.row(part="rubbish", stage=1)["caught"]
    assert caught == pytest.approx((read["predicted"] == 10).mean())


def test_the_filmstrip_begins_at_noise(finished):
    way = finished[0].load_arrays("filmstrip")
    steps = len(way["confidence"]) - 1
    assert 0 < steps <= SETTINGS.steps
    assert way["levels"].shape == (steps + 1, 1, 28, 28)
    assert way["target"] == 5
    first = RubbishSet.of_noise(1, (1, 28, 28), seed=SETTINGS.seed).levels
    assert np.array_equal(way["levels"][0], first[0])


def test_the_networks_know_rubbish_from_stage_one_on(finished):
    run, _ = finished
    known = [load_card(run.weights(name)).rubbish_class for name in ("clean", "rubbish-1")]
    assert known == [None, 10]
    assert load_network(run.weights("rubbish-2")).n_outputs == 11


def test_the_summary_has_what_scripts_read(finished):
    run, _ = finished
    said = summary(run.rows())
    assert said["classifier"] == run.row(part="classifier")
    assert said["fooling"] == run.row(part="fooling")
    assert said["rubbish"] == [run.row(part="rubbish", stage=stage) for stage in (1, 2)]
    assert said["seconds"] == run.row(part="done")["seconds"]


def test_a_finished_study_is_reported_and_not_repeated(finished):
    run, _ = finished
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    tasks = Tasks()
    assert do(Run.open(run.folder), tasks) == run.rows()
    assert tasks.count == 0
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_it_goes_on_wherever_it_was_interrupted(finished, tmp_path):
    whole, _ = finished
    run = begin(tmp_path / "run")
    # In the midst of every part; tasks are counted from where it goes on.
    for at, parts in [(1, 0), (3, 1), (4, 2), (4, 3)]:
        tasks = Tasks(at, interrupt)
        with pytest.raises(KeyboardInterrupt):
            do(run, tasks)
        assert tasks.count == at
        assert len(run.rows()) == parts
        assert_whole(run)
    do(run, Tasks())
    assert_same(run, whole)


def test_it_goes_on_after_it_was_killed(finished, tmp_path):
    whole, count = finished
    script = (
        "import conftest, sys, pathlib, test_study as t;"
        "t.do(t.begin(pathlib.Path(sys.argv[1])), t.Tasks(int(sys.argv[2]), t.die))"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run"), str(count - 1)],
        cwd=Path(__file__).parent,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    run = begin(tmp_path / "run")
    assert [row["part"] for row in run.rows()] == ["classifier", "fooling", "rubbish"]
    tasks = Tasks()
    do(run, tasks)
    assert 0 < tasks.count < count
    assert_same(run, whole)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"training_images": 999},
        {"confidence": 1},
        {"candidates": 0},
        {"steps": 0},
        {"noise_images": 0},
        {"fooling_images": 9},
        {"colour": "red"},
    ],
)
def test_bad_settings_name_themselves(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        StudySettings(**wrong)


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        SETTINGS.seed = 4
