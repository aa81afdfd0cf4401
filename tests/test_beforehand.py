"""What cannot come to anything is refused before any work is done, and nothing is begun."""

import json
import os
import sys
import threading
from dataclasses import replace

import pytest

from deceive.auditing import QUICK
from deceive.common import checks
from deceive.common.errors import InputError
from deceive.data.loading import load_data
from deceive.fooling.fool import fool
from deceive.networks.classifier import Classifier
from deceive.storage.models import save_network
from deceive.study import StudySettings
from deceive.teaching import PRESETS
from worlds.commands import run
from worlds.records import CARD


class WorkedError(Exception):
    """Something was trained, deceived or drawn."""


@pytest.fixture
def idle(monkeypatch, data):
    """Fails the test that gets as far as the work: training, and the image loop."""

    def work(*_, **__):
        raise WorkedError

    for place in (
        "training.recipes.fit",
        "fooling.checked.FrozenCopy",
        "storage.export.FrozenCopy",
        "cli.audit.task",
    ):
        monkeypatch.setattr(f"deceive.{place}", work)
    # It is read once for all tests.
    monkeypatch.setattr("deceive.data.loading.load_data", lambda folder, preparation: data)
    monkeypatch.setattr("deceive.auditing.opening.open_data", lambda place, preparation: data)


@pytest.fixture(scope="module")
def data():
    return load_data()


def in_words(text):
    return " ".join(text.split())


PLACES = [
    (["train", "--out", "{}/x.safetensors"], "x.safetensors"),
    (["fool", "--out", "{}/x.npz"], "x.npz"),
    (["fool", "--target", "5", "--out", "{}/x.png"], "x.png"),
    (["draw", "--out", "{}/x.png"], "x.png"),
    (["export", "--out", "{}/x.onnx"], "x.onnx"),
    (["leaderboard", "nowhere.json", "--out", "{}/x.md"], "x.md"),
    (["study", "--out", "{}/x"], "x"),
    (["rounds", "--out", "{}/x"], "x"),
    (["audit", "fast", "--out", "{}/x"], "x"),
]


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(("command", "name"), PLACES, ids=[each[0][0] for each in PLACES])
def test_a_place_that_cannot_be_written_to_is_found_first(command, name, tmp_path, capsys):
    (tmp_path / "file").touch()
    code, _, err = run(capsys, *(word.format(tmp_path / "file") for word in command))
    assert code == 2
    assert f"{tmp_path / 'file' / name}: expected" in in_words(err)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize("taken", ["net.safetensors", "net.json"])
def test_a_folder_in_the_place_of_weights_or_card_is_found_first(taken, tmp_path, capsys):
    (tmp_path / taken).mkdir()
    code, _, err = run(capsys, "train", "--out", str(tmp_path / "net.safetensors"))
    assert code == 2
    assert f"{taken}: expected a file or a new path, got a folder" in in_words(err)


@pytest.mark.usefixtures("idle")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["fool", "--judge", "nope"], "expected a shipped network"),
        (["draw", "--judge", "nope"], "expected a shipped network"),
        (["study", "--judge", "nope"], "expected a shipped network"),
        (["study", "--network", "nope"], "network: expected one of"),
        (["rounds", "--network", "nope"], "network: expected one of"),
        (["rounds", "--judged", "2"], "judged: expected 0, or at least 25 images for each of 10"),
        (["rounds", "--judged", "1" + "0" * 12], "judged: expected at most"),
        (["rounds", "--kept", "1" + "0" * 12], "kept: expected at most"),
        (["study", "--noise-images", "1" + "0" * 12], "noise-images: expected at most"),
        (["audit", "fast", "--garbage-images", "1" + "0" * 12], "garbage-images: expected at most"),
        (["fool", "--count", "1" + "0" * 12], "got 10,000,000,000,000"),
        (["draw", "--count", "1" + "0" * 12], "as many as this machine's memory holds, got 10"),
        (
            ["fool", "--count", "9" * 4300],
            "count: expected a whole number below 9,223,372,036,854,775,808, got",
        ),
        (["fool", "--target", "9" * 5000], "--target: expected a class number or all, got '999"),
    ],
)
def test_what_is_refused_is_refused_before_the_work(command, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *command)
    assert code == 2
    assert said in in_words(err)
    assert len(err) < 1000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("idle")
def test_without_tensorboard_no_run_is_begun(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    code, _, err = run(capsys, "rounds", "--tensorboard", "--out", str(tmp_path / "run"))
    assert code == 2
    assert "expected the package tensorboard" in in_words(err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("idle")
def test_a_png_cannot_hold_two_channels(tmp_path, capsys):
    path = tmp_path / "net.safetensors"
    card = CARD.model_copy(update={"image_shape": (2, 28, 28)})
    save_network(Classifier("fast", 10, (2, 28, 28)), path, card)
    out = str(tmp_path / "x.png")
    code, _, err = run(capsys, "fool", "--model", str(path), "--target", "1", "--out", out)
    assert code == 2
    assert "expected an .npz for images of 2 channels" in in_words(err)


def test_what_does_not_fit_into_memory(bands, data, monkeypatch):
    monkeypatch.setattr(checks, "_memory", lambda: 1_000_000)
    with pytest.raises(InputError, match=r"count: expected at most 5,555 images, .* got 8,000"):
        fool(bands, range(4), count=2000)
    for settings, name in (
        (StudySettings(noise_images=300), "candidates"),
        (StudySettings(candidates=1, noise_images=300), "noise_images"),
        (StudySettings(candidates=1, noise_images=9, fooling_images=300), "fooling_images"),
        (PRESETS["draw"].model_copy(update={"candidates": 300}), "candidates"),
        (PRESETS["draw"].model_copy(update={"measured": 1}), "kept"),
    ):
        with pytest.raises(InputError, match=f"{name}: expected at most 248 images"):
            settings.check(data)
    with pytest.raises(InputError, match="garbage_images: expected at most 248 images"):
        QUICK.check(data.image_shape)


def test_a_judge_for_other_images_is_refused_before_the_study(data):
    other = replace(data, train=replace(data.train, images=data.train.images[:, :, :8, :8]))
    with pytest.raises(
        InputError, match=r"judge: expected a network for the data's images, \(1, 8, 8\)"
    ):
        StudySettings().check(other)
    with pytest.raises(InputError, match="judge: expected a network trained on the images"):
        StudySettings().check(replace(data, checksum="of other images"))


def test_numbers_and_texts_of_any_length_can_be_said():
    assert checks.shown(10**5000) == "10^5000"
    assert checks.shown(-(10**5000)) == "-10^5000"
    assert checks.shown(12345) == "12,345"
    assert len(checks.shown("x" * 5000)) < 120
    with pytest.raises(InputError, match=r"^count: expected .* got -10\^5000$"):
        checks.at_least("count", -(10**5000), 1)


@pytest.mark.shipped
def test_a_png_of_a_fooling_image_can_go_through_a_fifo(tmp_path, capsys):
    path, read = tmp_path / "five.png", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
    reader.start()
    code, out, _ = run(capsys, "fool", "--target", "5", "--out", str(path), "--json")
    reader.join(10)
    assert code == 0
    assert json.loads(out)["confidence"] >= 0.99
    assert read[0].startswith(b"\x89PNG")
