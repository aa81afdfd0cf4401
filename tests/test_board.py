"""What TensorBoard would read of a run of rounds."""

import shutil
import sys

import pytest

from deceive.reporting.board import Board
from deceive.reporting.figures import contact_sheet, shown_images
from deceive.storage.runs import Run, round_name
from worlds.commands import run as command
from worlds.rounds import FLAGS, quiet

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")


@pytest.fixture
def again(played, quarters_folder, tmp_path):
    """The command that finds a finished run, in a copy of it."""
    shutil.copytree(played / "run", tmp_path / "run")
    words = ["rounds", "--out", f"{tmp_path}/run", *FLAGS, "--judged", "80"]
    return [*words, "--judge", f"{played}/judge.safetensors", "--data", str(quarters_folder)]


def read(path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path))
    events.Reload()
    return events


def test_rows_images_and_news(again, capsys, tmp_path):
    run = Run.open(tmp_path / "run")
    rows = run.rows()
    # Cut off before the end, gone on with, and asked for again: all of it is there, and once.
    lines = (run.folder / "rows.jsonl").read_text().splitlines()
    (run.folder / "rows.jsonl").write_text("\n".join(lines[:2]) + "\n")
    for _ in range(2):
        assert command(capsys, *again, "--tensorboard")[0] == 0
    events = read(run.folder / "tensorboard")
    agreed = [(each.step, each.value) for each in events.Scalars("round/judge_agreement")]
    assert agreed == [
        (row["round"], pytest.approx(row["judge_agreement"]))
        for row in rows
        if row["part"] == "round"
    ]
    assert [each.step for each in events.Scalars("quality/coverage")] == [6]
    levels = shown_images(run.load_arrays(round_name(3)))
    sheet = contact_sheet(levels.reshape(-1, 1, 8, 8), columns=3)
    _, height, width = sheet.shape
    sizes = [(each.step, each.height, each.width) for each in events.Images("round/images")]
    assert sizes == [(0, height, width), (3, height, width), (6, height, width)]
    assert [each.step for each in events.Images("quality/images")] == [6]


def test_a_board_begins_anew_behind_a_symlink_and_leaves_what_is_not_its_own(played, tmp_path):
    shutil.copytree(played / "run", tmp_path / "run")
    logs = tmp_path / "logs"
    logs.mkdir()
    (tmp_path / "run/tensorboard").symlink_to(logs)
    (logs / "notes.txt").write_text("mine")
    for _ in range(2):
        Board(Run.open(tmp_path / "run"))
    assert len(list(logs.glob("events*"))) == 1
    assert (logs / "notes.txt").read_text() == "mine"


def test_news_are_written_down_now_and_then(played, tmp_path):
    shutil.copytree(played / "run", tmp_path / "run")
    board = Board(Run.open(tmp_path / "run"))
    with board.listening(quiet)("rounds") as report:
        for done in range(101):
            report(done, 100, f"all is well after {done}")
        report(150, 100)
    board.writer.flush()
    events = read(tmp_path / "run/tensorboard")
    assert [each.step for each in events.Tensors("news/text_summary")] == [0, 50, 100]
    (said,) = events.Tensors("news/text_summary")[1].tensor_proto.string_val
    assert said.decode() == "all is well after 50"


def test_without_tensorboard_it_is_one_clear_error(again, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    code, _, said = command(capsys, *again, "--tensorboard")
    assert code == 2
    assert "pip install 'deceive[tensorboard]'" in said
    assert not (tmp_path / "run/tensorboard").exists()
