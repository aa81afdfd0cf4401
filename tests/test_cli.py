import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

import deceive
from deceive.common.levels import from_levels
from deceive.storage.models import load_card, load_network
from deceive.storage.runs import Run
from worlds.commands import run

SMALL = ["--epochs", "0.5", "--training-images", "2000", "--candidates", "2"]
SMALL += ["--fooling-images", "20", "--steps", "60"]


def test_a_failure_is_said_without_a_median(tmp_path, capsys):
    where = ["--out", str(tmp_path / "fooled.npz")]
    code, out, _ = run(capsys, "fool", "--target", "5", "--steps", "0", *where)
    assert code == 1
    assert "0 of 1 images fool fast; another network (judge) sees the target in" in out
    assert "None" not in out
    code, out, _ = run(
        capsys, "fool", "--target", "5", "--steps", "0", "--out", str(tmp_path / "five.png")
    )
    assert code == 1
    assert re.search(r"fast is [\d.]+% sure that it is a 5, short of 0\.99, after 0 steps", out)


def test_no_network_judges_itself_or_other_images(tmp_path, capsys):
    network, other = deceive.load_network("study"), tmp_path / "other.safetensors"
    card = load_card("study").model_copy(update={"data_checksum": "of others"})
    deceive.save_network(network, other, card)
    options = ["--target", "5", "--steps", "3", "--out", str(tmp_path / "fooled.npz")]
    _, out, _ = run(capsys, "fool", "--model", "judge", *options)
    assert "; another network (study) sees the target in" in out
    said = json.loads(run(capsys, "fool", "--model", "judge", *options, "--json")[1])
    assert said["judge"] == "study"
    assert said["judge_agreement"] == deceive.agreement(
        deceive.load_network("study"), *images_in(tmp_path / "fooled.npz")
    )
    assert "; another network (judge) sees the target in" in run(capsys, "fool", *options)[1]
    code, _, err = run(capsys, "fool", "--model", "judge", "--judge", "judge", *options)
    assert code == 2
    assert "--judge: expected a network other than judge, got the same one" in err
    for judge, why in (
        (str(other), "expected a network that was trained on the same images as fast, got"),
        ("nope", "expected a shipped network"),
    ):
        code, _, err = run(capsys, "fool", "--judge", judge, *options)
        assert code == 2
        assert f"--judge: {why}" in " ".join(err.split())


def images_in(path):
    with np.load(path) as arrays:
        levels, targets = (torch.from_numpy(arrays[name]) for name in ("images", "targets"))
    return from_levels(levels[:, None]), targets


@pytest.mark.parametrize(("asked", "what"), [("10", ", the rubbish class"), ("11", "")])
def test_rubbish_is_no_class_to_be_made(tmp_path, capsys, asked, what):
    out = tmp_path / "made.npz"
    for command in (["draw", "--digit"], ["fool", "--model", "draw", "--target"]):
        code, _, err = run(capsys, *command, asked, "--out", str(out))
        assert code == 2
        assert f"{command[-1]}: expected a class, 0 to 9, or all, got {asked}{what}" in err
        assert not out.exists()


@pytest.mark.shipped
def test_one_image_is_a_png_that_still_fools(tmp_path, capsys):
    path = tmp_path / "FIVE.PNG"
    code, out, _ = run(capsys, "fool", "--target", "5", "--out", str(path), "--json")
    assert code == 0
    said = json.loads(out.splitlines()[-1])
    pixels = torch.from_numpy(np.array(Image.open(path)))
    again = load_network("fast")(pixels.float()[None, None] / 255).softmax(1)[0, 5].item()
    assert said["confidence"] == pytest.approx(again, abs=1e-6)
    assert again >= 0.99


@pytest.mark.shipped
def test_many_images_are_arrays(tmp_path, capsys):
    path = tmp_path / "fooled.npz"
    code, _, _ = run(capsys, "fool", "--target", "all", "--count", "2", "--out", str(path))
    assert code == 0
    with np.load(path) as arrays:
        assert arrays["images"].shape == (20, 28, 28)
        assert arrays["images"].dtype == np.uint8
        assert arrays["targets"].tolist() == [k // 2 for k in range(20)]
        assert arrays["fooled"].all()
        assert (arrays["confidence"] >= 0.99).all()
        assert len(arrays["steps"]) == 20


@pytest.mark.shipped
def test_candidates_that_stall_are_said(tmp_path, capsys):
    path = tmp_path / "three.png"
    arguments = ["fool", "--model", "study", "--target", "3", "--start", "blank", "--steps", "2"]
    code, out, err = run(capsys, *arguments, "--out", str(path), "--json")
    assert code == 1
    assert "1 of 1 candidates (100%) stalled" in " ".join(err.split())
    assert json.loads(out.splitlines()[-1])["stalled"] == 1


@pytest.mark.parametrize(
    ("options", "rows", "columns"),
    [(["--count", "3"], 10, 3), (["--target", "5", "--count", "12"], 2, 10)],
)
def test_many_images_in_one_png_are_rows_as_those_that_are_drawn(
    options, rows, columns, tmp_path, capsys
):
    path = tmp_path / "many.png"
    code, out, _ = run(capsys, "fool", *options, "--steps", "0", "--out", str(path))
    assert code == 1
    assert out.startswith(f"{path}: ")
    assert f" of {30 if rows == 10 else 12} images fool fast" in out
    with Image.open(path) as sheet:
        assert sheet.size == (columns * 57 + 1, rows * 57 + 1)


def test_a_candidate_out_of_steps_is_said(tmp_path, capsys):
    path = tmp_path / "five.png"
    code, out, _ = run(capsys, "fool", "--target", "5", "--steps", "0", "--out", str(path))
    assert code == 1
    assert path.exists()
    assert "fast is 0% sure that it is a 5, short of 0.99, after 0 steps" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fool", "--target", "12"], "--target: expected a class, 0 to 9, or all, got 12"),
        (["fool", "--target", "five"], "--target: expected a class number or all"),
        (["fool", "--target", "٣"], "--target: expected a class number or all"),
        (["fool", "--confidence", "1"], "confidence: expected a number above 0 and below 1"),
        (["fool", "--model", "nowhere"], "expected a shipped network"),
        (["fool", "--out", "x.jpg"], "--out: expected a .png or an .npz, got x.jpg"),
        (["fool", "--steps", str(10**30)], "steps: expected a whole number below 1,000,000,000"),
        (["study", "--network", "nope"], "network: expected one of fast, judge, study"),
        (["study", "--epochs", "inf"], "--epochs: expected a finite number, got inf"),
        (["study", "--steps", str(10**30)], "--steps: expected a number below 1,000,000,000"),
        (
            ["rounds", "--preset", "study", "--epochs", "nan"],
            "--epochs: expected a finite number, got nan",
        ),
        (["audit", "fast", "--queries", str(10**30)], "--queries: expected a number below"),
        (["fool", "--start", "fog"], "start: expected one of"),
        (["train", "--recipe", "slow"], "--recipe: expected one of adversarial, detector, fast"),
        (
            ["train", "--architecture", "slow"],
            "--recipe: expected one of adversarial, detector, fast",
        ),
        (["train", "--data", "nowhere"], "nowhere"),
        *(
            ([*command.split(), "--seed", str(2**64)], "seed: ")
            for command in ("fool", "train", "draw", "study", "rounds", "audit fast")
        ),
        (["study", "--confidence", "2"], "--confidence"),
        (["foul", "--target", "5"], "expected a command, got 'foul'; did you mean fool?"),
        (["swim"], "expected a command, got 'swim'; deceive --help lists them"),
        (["fool", "--model", "fasst"], "got 'fasst'; did you mean fast?"),
        (["info", __file__], "test_cli.py: expected a .safetensors file, got another"),
        (["audit", "fast", "--mean", "nan", "--std", "1"], "--mean: expected a finite number, got"),
        (["audit", "fast", "--bounds", "0", "inf"], "--bounds: expected a finite number, got inf"),
        (["audit", "fast", "--junit", "."], "--junit .: expected a file or a new path"),
    ],
)
def test_bad_input_is_one_sentence(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_info_names_the_shipped_networks(capsys):
    code, out, _ = run(capsys, "info", "--json")
    assert code == 0
    assert {"fast", "judge", "study"} <= set(json.loads(out)["networks"])
    assert "judge" in run(capsys, "info")[1]


def test_info_shows_a_network_in_detail(capsys):
    out = run(capsys, "info", "draw")[1]
    assert "outputs: 11; 10 is the rubbish class" in out
    assert "trained by: deceive rounds --preset draw" in out
    assert "real images that pass" in run(capsys, "info", "detector")[1]
    assert list(json.loads(run(capsys, "info", "fast", "--json")[1])["networks"]) == ["fast"]
    code, _, err = run(capsys, "info", "nope")
    assert code == 2
    assert "expected a shipped network" in err


def test_a_study_is_done_once_and_resumed(tmp_path, capsys):
    folder = tmp_path / "run"
    code, out, _ = run(capsys, "study", "--out", str(folder), *SMALL, "--json")
    assert code == 0
    said = json.loads(out.splitlines()[-1])
    assert said["classifier"]["test_accuracy"] > 0.5
    assert [row["stage"] for row in said["rubbish"]] == [1, 2]
    assert {"fooling_rate", "median_steps", "judge_agreement"} <= said["fooling"].keys()
    rows = (folder / "rows.jsonl").read_text()
    arrays = np.load(folder / "arrays/second_mispredicted.npz")["levels"]

    # "All" are the digits, for a network that knows rubbish too.
    taught = str(folder / "weights/rubbish-1.safetensors")
    options = ["--model", taught, "--steps", "1", "--out", str(tmp_path / "fooled.npz")]
    _, ten, _ = run(capsys, "fool", *options, "--json")
    assert json.loads(ten.splitlines()[-1])["candidates"] == 10
    assert "judge_agreement" in ten

    # A second call only reports.
    code, out, _ = run(capsys, "study", "--out", str(folder), *SMALL, "--json")
    assert json.loads(out.splitlines()[-1]) == said
    assert (folder / "rows.jsonl").read_text() == rows

    # Cut off after the third part, the last one comes out the same.
    kept = rows.splitlines()[:3]
    (folder / "rows.jsonl").write_text("\n".join(kept) + "\n")
    run(capsys, "study", "--out", str(folder), *SMALL)
    assert np.array_equal(np.load(folder / "arrays/second_mispredicted.npz")["levels"], arrays)

    # Other settings are another run.
    code, _, err = run(capsys, "study", "--out", str(folder), *SMALL, "--seed", "1")
    assert code == 2
    assert "seed" in err


def test_a_run_folder_keeps_rows_in_order(tmp_path):
    first = Run(tmp_path / "run", {"seed": 0})
    first.add({"part": "a", "x": 1})
    first.add({"part": "b", "x": None})
    again = Run(tmp_path / "run", {"seed": 0})
    assert [row["part"] for row in again.rows()] == ["a", "b"]
    assert again.row(part="b") == {"part": "b", "x": None}
    assert again.row(part="c") is None


def test_a_judge_of_other_sizes_leaves_no_run(tmp_path, capsys):
    """Found before anything is written, so the right command can use the same folder."""
    out = tmp_path / "run"
    words = ["rounds", "--rounds", "1", "--size", "20", "--out", str(out)]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert "--judge: expected a network for images of 1×20×20, got one for 1×28×28" in " ".join(
        err.split()
    )
    assert not out.exists()
