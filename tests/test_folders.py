import os
import signal
import subprocess
import sys
import tempfile

import pytest

from deceive.cli.folders import claimed
from deceive.common.errors import InputError, WriteError
from deceive.common.files import replacing
from deceive.storage.runs import Run
from worlds.commands import run

SETTINGS = {"seed": 0}
LOCK = ".deceive-lock"


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def claim(folder, *, fresh=False):
    with claimed(folder, fresh=fresh):
        pass


HOLDING = """
import os, sys
from pathlib import Path
from deceive.cli.folders import claimed
from deceive.storage.runs import Run
if sys.argv[2:]:
    os.setuid(int(sys.argv[2]))
with claimed(Path(sys.argv[1]), fresh=False):
    Run(Path(sys.argv[1]), {"seed": 0})
    print("claimed", flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_out_who_has_another_temporary_folder_and_goes_with_its_process(
    tmp_path, monkeypatch
):
    for each in ("one", "other"):
        (tmp_path / each).mkdir()
    folder = tmp_path / "run"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING, folder],
        env=os.environ | {"TMPDIR": str(tmp_path / "one")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline() == b"claimed\n"
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "other"))
        with pytest.raises(InputError, match=f"no other command is using, got {folder}; wait"):
            claim(folder, fresh=True)
        holder.send_signal(signal.SIGKILL)
    left = ["one", "other", "run", f"run/{LOCK}", "run/environment.json", "run/settings.json"]
    assert names(tmp_path) == left
    claim(folder)
    assert names(tmp_path) == [name for name in left if LOCK not in name]


@pytest.mark.parametrize("command", [["study"], ["rounds"], ["audit", "fast"]])
def test_no_two_commands_work_in_one_folder(command, tmp_path, capsys):
    folder = tmp_path / "run"
    with claimed(folder, fresh=False):
        Run(folder, SETTINGS)
        before = names(tmp_path)
        code, _, err = run(capsys, *command, "--out", str(folder), "--fresh")
        assert names(tmp_path) == before  # nor was it put aside
    assert code == 2
    assert "expected a folder that no other command is using" in " ".join(err.split())


def test_a_run_is_put_aside_and_the_new_folder_is_locked(tmp_path):
    folder, link = tmp_path / "run", tmp_path / "link"
    Run(folder, SETTINGS)
    (tmp_path / "run.1").symlink_to("nowhere")
    link.symlink_to("run")
    with claimed(link, fresh=True):
        assert names(folder) == [LOCK]
        with pytest.raises(InputError, match="no other command is using"):
            claim(folder, fresh=True)
        Run(folder, SETTINGS)
    assert names(tmp_path / "run.2") == ["environment.json", "settings.json"]
    assert link.is_symlink()


def test_what_came_to_nothing_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), claimed(tmp_path / "far" / "away", fresh=False):
        raise KeyError
    assert names(tmp_path) == []
    (tmp_path / "empty").mkdir()
    claim(tmp_path / "empty", fresh=True)
    assert names(tmp_path) == ["empty"]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("kind", ["photos", "settings", "environment", "file", "fifo", "device"])
def test_what_is_no_run_is_refused_and_stays(kind, fresh, tmp_path):
    place = tmp_path / "place"
    match kind:
        case "photos":
            place.mkdir()
            (place / "me.jpg").touch()
        case "settings" | "environment":  # of another program's
            place.mkdir()
            (place / f"{kind}.json").write_text('{"colour": "dark"}')
        case "file":
            place.write_text("text")
        case "fifo":
            os.mkfifo(place)
        case "device":
            place.symlink_to(os.devnull)
    before = names(tmp_path), place.stat().st_ino
    with pytest.raises(InputError, match="place: expected a run folder or"):
        claim(place, fresh=fresh)
    assert (names(tmp_path), place.stat().st_ino) == before
    if kind in ("photos", "environment"):
        with pytest.raises(InputError, match="place: expected a run folder or"):
            Run(place, SETTINGS)


def test_a_run_that_was_killed_as_it_began_goes_on(tmp_path):
    Run(tmp_path / "run", SETTINGS)
    (tmp_path / "run" / "settings.json").unlink()
    with replacing(tmp_path / "run" / "settings.json") as temporary:
        left = temporary.with_name(temporary.name.replace(".tmp", "0.tmp"))
        left.touch()
        with claimed(tmp_path / "run", fresh=False):
            Run(tmp_path / "run", SETTINGS)
        temporary.touch()
    assert names(tmp_path / "run") == ["environment.json", "settings.json"]


def test_a_damaged_run_can_be_put_aside(tmp_path):
    for name in ("environment.json", "settings.json"):
        folder = tmp_path / name
        Run(folder, SETTINGS | {"data_checksum": "0"})
        (folder / name).write_text("[")
        claim(folder, fresh=True)
        assert names(folder.with_name(f"{name}.1")) == ["environment.json", "settings.json"]


@pytest.mark.parametrize("lost", ["settings.json", "environment.json", None])
def test_a_run_is_put_aside_by_its_files_names_and_goes_on_only_with_its_settings(lost, tmp_path):
    folder = tmp_path / "run"
    Run(folder, SETTINGS).add({"part": "a"})
    for path in folder.iterdir():
        path.write_text("[")
    if lost is not None:
        (folder / lost).unlink()
    before = names(folder)
    claim(folder)
    with pytest.raises(InputError, match=r"run/settings\.json: expected "):
        Run(folder, SETTINGS)
    assert names(folder) == before
    claim(folder, fresh=True)
    assert names(tmp_path / "run.1") == before


def test_a_planted_symlink_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("text")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(victim)
    with pytest.raises(WriteError, match="run: expected a writable path"):
        claim(tmp_path / "run")
    assert victim.read_text() == "text"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_takes_over_a_lock_that_is_left(open_folder):
    folder = open_folder / "run"
    folder.mkdir()
    (folder / LOCK).touch(mode=0o644)  # as root's, and never removed
    folder.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", HOLDING, folder, "65534"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "claimed\n", done.stderr
    assert names(folder) == ["environment.json", "settings.json"]


def test_a_lock_that_is_removed_while_another_waits_for_it_is_no_lock(tmp_path, monkeypatch):
    """The file that was opened is not the one that is there when its lock is had."""
    folder, opened = tmp_path / "run", os.open
    folder.mkdir()

    def remove_once(path, flags, *rest):
        descriptor = opened(path, flags, *rest)
        if str(path).endswith(LOCK):
            monkeypatch.undo()
            (folder / LOCK).unlink()
        return descriptor

    monkeypatch.setattr(os, "open", remove_once)
    with claimed(folder, fresh=False):
        assert names(folder) == [LOCK]
        with pytest.raises(InputError, match="no other command is using"):
            claim(folder)
    assert names(folder) == []
