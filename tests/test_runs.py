import json
import os
import platform
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from deceive import __version__
from deceive.common.arrays import write_arrays
from deceive.common.errors import InputError, WriteError
from deceive.fooling.fool import fool
from deceive.storage.kinds import Kind, RowSchema
from deceive.storage.runs import Run, arrays_of

SETTINGS = {"seed": 0, "network": "fast", "epochs": None, "nested": {"deep": {"a": 1, "b": 1}}}


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "deep" / "run", SETTINGS)


def files(folder):
    """Every file below a folder with its content."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_begins_with_its_settings_and_environment(run):
    assert json.loads((run.folder / "settings.json").read_text()) == SETTINGS
    assert run.settings == SETTINGS
    assert run.rows() == []
    assert run.environment == {
        "deceive": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def test_a_second_call_goes_on_and_rewrites_nothing(run):
    run.add({"part": "a"})
    before = files(run.folder)
    again = Run(run.folder, dict(reversed(SETTINGS.items())))
    assert again.rows() == [{"part": "a"}]
    assert files(run.folder) == before


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"seed": 1, "network": "study"}, "network, seed"),
        ({"extra": 3}, "extra"),
        ({"nested": {"seed": 1, "deep": {"a": 2, "b": 1}}}, "nested.deep.a, nested.seed"),
        ({"nested": None}, "nested"),
    ],
)
def test_other_settings_are_another_run(run, other, named):
    before = files(run.folder)
    with pytest.raises(InputError, match=rf"{run.folder}: .* differs in {named}; .*--fresh"):
        Run(run.folder, SETTINGS | other)
    assert files(run.folder) == before


def test_open_reads_a_run_and_its_settings(run):
    run.add({"part": "a"})
    before = files(run.folder)
    opened = Run.open(run.folder)
    assert (opened.settings, opened.rows()) == (SETTINGS, [{"part": "a"}])
    assert files(run.folder) == before


def test_open_where_there_is_no_run(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    for name in ("empty", "file", "nowhere"):
        with pytest.raises(InputError, match=rf"{name}: expected the folder of a run"):
            Run.open(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("content", [b"", b'{"seed": ', b"[1]", b"\xff\xfe\x00"])
def test_damaged_settings_are_named(run, content):
    (run.folder / "settings.json").write_bytes(content)
    for call in (lambda: Run.open(run.folder), lambda: Run(run.folder, SETTINGS)):
        with pytest.raises(InputError, match=r"settings\.json: expected a JSON object"):
            call()


def test_a_missing_environment_is_named(run):
    (run.folder / "environment.json").unlink()
    with pytest.raises(InputError, match=r"environment\.json: expected a JSON object; No such"):
        _ = run.environment


def test_rows_come_back_as_they_were_in_order(run):
    rows = [{"part": "b", "x": None}, {"part": "a", "x": 0.1}, {"part": "a", "x": "é\u2028\n"}]
    assert [run.add(row) for row in rows] == rows
    assert Run.open(run.folder).rows() == rows
    assert len((run.folder / "rows.jsonl").read_text().split("\n")) == 4


def test_a_row_is_found_by_some_of_its_values(run):
    for stage in (1, 2):
        run.add({"part": "rubbish", "stage": stage, "x": 10 * stage})
    assert run.row(part="rubbish")["x"] == 10
    assert run.row(part="rubbish", stage=2)["x"] == 20
    assert run.row(part="rubbish", stage=3) is None
    assert run.row(colour=None) is None


@pytest.mark.parametrize("line", [b'{"part": "b"', b"", b"3", b"null", b"\xff{}", b"{} {}"])
def test_a_damaged_row_is_named_by_file_and_line(run, line):
    path = run.folder / "rows.jsonl"
    path.write_bytes(b'{"part": "a"}\n' + line + b'\n{"part": "c"}\n')
    before = files(run.folder)
    for call in (run.rows, lambda: run.row(part="c"), lambda: run.add({"part": "d"})):
        with pytest.raises(InputError, match=rf"^{path}, line 2: expected a JSON object"):
            call()
    assert files(run.folder) == before


@pytest.mark.parametrize(
    ("error", "raised"), [(KeyboardInterrupt, KeyboardInterrupt), (OSError, WriteError)]
)
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(run, monkeypatch, error, raised):
    run.add({"part": "a"})
    run.save_arrays("x", levels=np.zeros(3))
    before = files(run.folder)

    def interrupt(descriptor):
        raise error

    monkeypatch.setattr(os, "fsync", interrupt)
    for write in (
        lambda: run.add({"part": "b"}),
        lambda: run.save_arrays("x", levels=np.ones(3)),
        lambda: run.save_arrays("y", levels=np.ones(3)),
    ):
        with pytest.raises(raised):
            write()
        assert files(run.folder) == before


def test_arrays_come_back_as_they_were(run):
    arrays = {"levels": np.arange(6, dtype=np.uint8).reshape(2, 3), "target": np.array(5)}
    assert not run.has_arrays("ten")
    run.save_arrays("ten", **arrays)
    assert run.has_arrays("ten")
    back = run.load_arrays("ten")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)


def test_arrays_that_are_missing_damaged_or_pickled(run):
    path = run.folder / "arrays" / "ten.npz"
    with pytest.raises(InputError, match=rf"{path}: expected arrays"):
        run.load_arrays("ten")
    run.save_arrays("ten", levels=np.arange(1000))
    whole = path.read_bytes()
    for content in (b"", b"rubbish", whole[:-30], whole[:200] + b"\0" * 50 + whole[250:]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{path}: expected arrays"):
            run.load_arrays("ten")
    write_arrays(path, objects=np.array([{}]))
    with pytest.raises(InputError, match=rf"{path}: expected arrays"):
        run.load_arrays("ten")


def test_a_fooling_result_as_arrays(bands, tmp_path):
    result = fool(bands, range(4), count=2, confidence=0.9, steps=30)
    path = tmp_path / "fooled.npz"
    write_arrays(path, **arrays_of(result))
    with np.load(path) as arrays:
        assert list(arrays) == ["levels", "targets", "confidence", "fooled", "steps"]
        for name in arrays:
            assert np.array_equal(arrays[name], getattr(result, name).numpy())


class Told(BaseModel):
    seed: int
    network: str


TRIAL = Kind("trial", "a trial", Told, lambda settings, row: [RowSchema])


def test_a_run_says_its_kind_in_its_settings(tmp_path):
    run = Run(tmp_path, SETTINGS, TRIAL)
    assert json.loads((tmp_path / "settings.json").read_text()) == {"run": "trial", **SETTINGS}
    for each in (run, Run.open(tmp_path), Run(tmp_path, SETTINGS, TRIAL)):
        assert (each.word, each.settings) == ("trial", SETTINGS)
    with pytest.raises(InputError, match="expected a run of the kind 'game', got 'trial'"):
        Run(tmp_path, SETTINGS, replace(TRIAL, word="game"))
    with pytest.raises(InputError, match="expected the folder of a game, got a run of the kind 't"):
        Run.open(tmp_path).of(replace(TRIAL, word="game", name="a game"))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"rounds": 1, "ascent": {}}, "rounds"),
        ({"audit": 3, "model": "fast"}, "audit"),
        ({"fooling_images": 10}, "study"),
        (SETTINGS, None),
    ],
)
def test_old_settings_tell_the_kind_by_their_fields(tmp_path, settings, word):
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    assert (Run.open(tmp_path).word, Run.open(tmp_path).settings) == (word, settings)


def test_a_damaged_kind_is_named(tmp_path):
    (tmp_path / "settings.json").write_text('{"run": ["study"]}')
    with pytest.raises(InputError, match=r"settings\.json: expected run to name a kind of run"):
        Run.open(tmp_path)


@pytest.mark.parametrize("name", ["settings.json", "rows.jsonl", "arrays/a.npz", "checkpoint"])
def test_a_run_with_anything_but_files_is_refused_and_nothing_waits(name, tmp_path):
    run = Run(tmp_path / "run", {"seed": 0})
    run.save_arrays("a", x=np.ones(3))
    run.add({"part": "a"})
    (run.folder / name).unlink(missing_ok=True)
    os.mkfifo(run.folder / name)
    with pytest.raises(InputError, match=f"{name}: expected a.*, got a FIFO"):
        Run.open(run.folder)
    if name.endswith(".npz"):
        with pytest.raises(InputError, match=r"a.npz: expected arrays; got a FIFO"):
            run.load_arrays("a")


def test_an_old_folder_is_continued_as_it_is(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(SETTINGS | {"fooling_images": 10}))
    run = Run(tmp_path, SETTINGS | {"fooling_images": 10}, replace(TRIAL, word="study"))
    assert run.add({"part": "a"}) in Run.open(tmp_path).rows()
    assert "run" not in json.loads(path.read_text())
