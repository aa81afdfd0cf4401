"""A run of rounds, from the command line to its page, on a data set that is not MNIST."""

import json
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from deceive.cli.draw import DrawCommand
from deceive.common.errors import InputError
from deceive.fooling.drawing import ACCEPTED, ATTEMPTS, draw
from deceive.reporting.figures import contact_sheet, rounds_pictures, shown_rounds
from deceive.reporting.findings import rounds_findings
from deceive.reporting.rounds import write_rounds_page
from deceive.reporting.study import write_study_page
from deceive.storage.models import load_card, load_network
from deceive.storage.runs import Run
from deceive.teaching import PRESETS
from deceive.teaching.rows import ROUNDS
from worlds.commands import run
from worlds.old_rounds import OLD_OF
from worlds.rounds import FLAGS


def test_other_data_go_from_training_to_drawing(monkeypatch, played, capsys, tmp_path):
    rows = Run.open(played / "run").rows()
    assert [row["part"] for row in rows] == ["round"] * 3 + ["quality"]
    assert rows[-1]["images"] == 320
    model = str(played / "run/weights/round-000006.safetensors")
    judge = ["--model", model, "--judge", f"{played}/judge.safetensors"]
    out = tmp_path / "drawn.npz"
    shares = []
    with monkeypatch.context() as patched:
        report = nullcontext(lambda done, total: shares.append(done / total))
        patched.setattr("deceive.cli.draw.task", lambda words: report)
        code, words, _ = run(capsys, "draw", *judge, "--count", "3", "--out", str(out), "--json")
    assert code == 0
    assert shares[-1] == 1  # also when some are drawn again
    assert json.loads(words.splitlines()[-1])["images"] == 12
    with np.load(out) as arrays:
        assert arrays["images"].shape == (12, 8, 8)
        assert arrays["images"].dtype == np.uint8
        assert arrays["targets"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    png = tmp_path / "two.png"
    options = ["--digit", "2", "--count", "4", "--out", str(png)]
    for given, accepted in (([], ACCEPTED), (["--attempts", "1"], None)):
        assert run(capsys, "draw", *judge, *options, *given)[0] == 0
        four = draw(
            load_network(model), 2, count=4, accepted=accepted, ascent=load_card(model).ascent
        )
        with Image.open(png) as image:
            assert np.array_equal(np.array(image), contact_sheet(four.levels.numpy(), columns=4)[0])
    assert DrawCommand().attempts == ATTEMPTS


def test_a_finished_run_is_reported_again(played, capsys, quarters_folder):
    options = ["--judge", f"{played}/judge.safetensors", "--data", str(quarters_folder)]
    options += ["--judged", "80"]
    before = (played / "run/rows.jsonl").read_text()
    code, out, _ = run(capsys, "rounds", "--out", f"{played}/run", *FLAGS, *options, "--json")
    assert code == 0
    assert (played / "run/rows.jsonl").read_text() == before
    assert len(json.loads(out.splitlines()[-1])["rows"]) == 4
    code, out, _ = run(capsys, "report", f"{played}/run", "--json")
    assert code == 0
    assert len(json.loads(out.splitlines()[-1])["pictures"]) == 7


def test_the_page_says_what_the_rows_say(played):
    run = Run.open(played / "run")
    page = write_rounds_page(run).read_text()
    assert page.count("<img ") == 7  # the moving one too
    assert "not finished" not in page
    assert "deceive rounds --preset draw" in page
    quality = run.row(part="quality")
    assert f"{quality['judge_agreement']:.2%}" in page
    assert "http" not in page.replace("http-equiv", "")


def test_an_unfinished_run_has_a_page_too(played, tmp_path):
    whole = Run.open(played / "run")
    part = Run(tmp_path / "part", whole.settings)
    assert "There are no figures yet" in write_rounds_page(part).read_text()
    part.add(whole.rows()[0])
    page = write_rounds_page(part).read_text()
    assert "not finished" in page
    assert "Before the first round" in page


@pytest.mark.parametrize("leading", [0, 1])
def test_the_page_says_what_the_network_was_taught(played, leading, tmp_path):
    folder = shutil.copytree(played / "run", tmp_path / "run")
    settings = json.loads((folder / "settings.json").read_text()) | {"leading": leading}
    (folder / "settings.json").write_text(json.dumps(settings))
    rounds_pictures(Run.open(folder))
    words = " ".join(write_rounds_page(Run.open(folder)).read_text().split())
    assert "its last deceptions were rubbish" in words
    assert ("its gradient leads from a start to a real image" in words) == bool(leading)


@pytest.mark.parametrize("preset", OLD_OF)
def test_a_run_from_before_there_were_kinds_has_its_page(played, preset, tmp_path):
    settings = OLD_OF[preset] | {"data_checksum": "of the quarters"}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    shutil.copy(played / "run/environment.json", tmp_path)
    row = Run.open(played / "run").rows()[0]
    row |= {"rubbish_images": 9, "fooling_rate": 0.5, "median_steps": 3.0}
    row |= {"gibberish_rate": 0.5, "digits_sure": 0.5}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    page = write_rounds_page(Run.open(tmp_path)).read_text()
    changes = " --rounds 16000 --kept 2000 --learning-rate 0.0006" if preset == "draw" else ""
    assert f"deceive rounds --preset {preset}{changes}<" in page
    with pytest.raises(InputError, match="expected a run with the same settings"):
        Run(tmp_path, PRESETS[preset].model_dump(mode="json") | {"data_checksum": ""}, ROUNDS)


def test_pictures_show_what_was_kept(played):
    run = Run.open(played / "run")
    shown = shown_rounds(run)
    assert list(shown) == [0, 3, 6]
    assert all(levels.shape == (4, 3, 1, 8, 8) for levels in shown.values())
    for path in rounds_pictures(run):
        with Image.open(path) as image:
            assert min(image.size) > 30
            assert getattr(image, "n_frames", 1) == (3 if path.suffix == ".webp" else 1)


def test_a_contact_sheet_holds_every_pixel():
    levels = np.random.default_rng(0).integers(0, 256, (5, 1, 3, 4), dtype=np.uint8)
    sheet = contact_sheet(levels, columns=2, scale=2)
    assert sheet.shape == (1, 3 * 7 + 1, 2 * 9 + 1)
    assert np.array_equal(sheet[0, 1:7:2, 1:9:2], levels[0, 0])
    assert np.array_equal(sheet[0, 2:8:2, 10:18:2], levels[1, 0])
    assert np.array_equal(sheet[0, 15:21:2, 1:9:2], levels[4, 0])
    assert (sheet[0, 15:, 10:] == 64).all()


def test_the_page_of_another_run_is_refused(tmp_path):
    run = Run(tmp_path / "run", {"seed": 0})
    with pytest.raises(InputError, match="expected the folder of a run of rounds"):
        write_rounds_page(run)


def test_a_run_of_rounds_is_no_study(played):
    with pytest.raises(InputError, match="expected the folder of a study"):
        write_study_page(Run.open(played / "run"))


def test_findings_of_the_literal_study():
    row = {"seconds": 60, "judge_agreement": 0.1, "test_accuracy": 0.99}
    rows = [row | {"round": 0, "fooling_rate": 1.0}, row | {"round": 15, "fooling_rate": 0.5}]
    said = " ".join(rounds_findings(rows, None))
    assert "fooled by 50.0% of fresh candidates, compared with 100.0%" in said
    assert rounds_findings([], None) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["draw", "--model", "fast"], "--model: expected a network that draws"),
        (["draw", "--digit", "x", "--model"], "--digit: expected a class number or all"),
        (["draw", "--out", "x.gif", "--model"], "--out: expected a .png or an .npz"),
        (
            ["rounds", "--preset", "sleep"],
            "--preset: expected one of auto, draw, paint, resist, study, one; got 'sleep'",
        ),
        (["rounds", "--rounds", "0"], "--rounds: expected a number of at least 1"),
        (["rounds", "--kept", "8"], "settings: expected no more candidates than are kept"),
        (["rounds", "--settings", "none.json"], "none.json: expected a JSON object of settings"),
        (["rounds", "--judge", "nowhere"], "expected a shipped network"),
    ],
)
def test_bad_input_is_one_sentence(words, said, played, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if words[-1] == "--model":
        words = [*words, f"{played}/run/weights/round-000006.safetensors"]
    code, _, err = run(capsys, *words)
    assert code == 2
    assert said in " ".join(err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_judge_of_other_data_is_refused(quarters_folder, capsys, tmp_path):
    code, _, err = run(
        capsys, "rounds", "--data", str(quarters_folder), "--out", str(tmp_path / "run"), *FLAGS
    )
    assert code == 2
    assert "--judge: expected a network that was trained on the images in" in " ".join(err.split())


@pytest.mark.parametrize("named", ["by a flag", "by DECEIVE_DATA"])
def test_grey_images_are_painted(named, played, quarters_folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--data", str(quarters_folder)]
    if named == "by DECEIVE_DATA":
        monkeypatch.setenv("DECEIVE_DATA", words.pop())
        words.pop()
    words += ["--judge", f"{played}/judge.safetensors", "--training-images", "900"]
    words += ["--rounds", "1", "--candidates", "4", "--measured", "1", "--judged", "0"]
    code, _, err = run(capsys, "rounds", *words)
    assert code == 0
    assert "For these images the preset is paint." in err
    settings = Run.open(tmp_path / "runs/paint").settings
    assert settings["network"] == "paint"
    assert settings["ascent"]["softness"] == 3


def test_the_help_of_rounds_reads_no_images(capsys):
    code, out, _ = run(capsys, "rounds", "--data", "nowhere", "--help")
    assert code == 0
    assert "--preset" in out
    code, _, err = run(capsys, "rounds", "--data", "nowhere")
    assert code == 2
    assert "nowhere" in err
