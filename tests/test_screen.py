"""What goes to the screen, and the code that a command ends with, whatever happens."""

import errno
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from rich.table import Table

from deceive.cli import commands, main, screen
from deceive.common.version import __version__
from deceive.data.loading import load_data
from deceive.storage.models import load_card, save_network
from deceive.training.recipes import build
from worlds.commands import run

# A name that a shell and a file system allow: markup, an emoji's name, an escape that clears the
# screen, a new line, a character that turns the direction of writing.
NASTY = "a[/b][red]:smile:\x1b[2J\n\u202eb"
SHOWN = "a[/b][red]:smile:\\x1b[2J\\n\\u202eb"


def ends_in(monkeypatch, work, *, resumes=False) -> None:
    """The next command does this."""

    class Command:
        def run(self) -> int:
            work()
            return 0

    Command.resumes = resumes
    monkeypatch.setattr(commands, "parse", lambda arguments: Command())


def raises(error: BaseException):
    def work() -> None:
        raise error

    return work


def recurse() -> None:
    recurse()


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (raises(OSError(errno.ENOSPC, "No space left on device", "x.npz")), "x.npz: expected"),
        (raises(OSError(errno.EROFS, "Read-only file system", "x.npz")), "x.npz: expected"),
        (raises(OSError(errno.EIO, "Input/output error")), "output: expected a readable"),
        (lambda: np.empty(2**59), "memory: expected enough for this command"),
        (lambda: torch.empty(2**50), "memory: expected enough for this command"),
    ],
)
def test_what_the_machine_lacks_is_bad_input_in_one_sentence(work, said, monkeypatch, capsys):
    ends_in(monkeypatch, work)
    code, out, err = run(capsys)
    assert (code, out) == (2, "")
    assert err.startswith(f"deceive: {said}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "work",
    [
        lambda: {}["nope"],
        recurse,
        lambda: sys.exit(0),  # the code of a model may
        lambda: sys.exit(1),
        raises(GeneratorExit()),
        raises(OSError(errno.ENOENT, "No such file", "ours.jinja")),
    ],
)
def test_a_fault_in_deceive_has_a_code_that_means_no_finding(work, monkeypatch, capsys):
    ends_in(monkeypatch, work)
    code, out, err = run(capsys)
    assert (code, out) == (70, "")
    assert err.startswith("Traceback")
    assert err.splitlines()[-1] == (
        "deceive: this is a bug in deceive; please report it with the lines above"
    )


@pytest.mark.parametrize(
    ("resumes", "kept"),
    [(True, "; finished work is kept, and the same command resumes"), (False, "")],
)
def test_an_interrupted_command_says_so(resumes, kept, monkeypatch, capsys):
    ends_in(monkeypatch, raises(KeyboardInterrupt()), resumes=resumes)
    code, _, err = run(capsys)
    assert code == 130
    assert err == f"deceive: interrupted{kept}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_a_reader_that_has_had_enough_is_no_error(arguments):
    """More text than a pipe's buffer holds, and less."""
    command = subprocess.Popen(
        [sys.executable, "-m", "deceive", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    command.stdout.close()
    assert command.stderr.read() == ""
    assert command.wait() == 141
    command.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux alone has it")  # noqa: PTH110
def test_results_that_find_no_room_are_one_sentence():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "deceive", "--version"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert ended.stderr == (
        "deceive: output: expected a readable and writable path; No space left on device\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_no_character_is_too_much_for_an_encoding(encoding, monkeypatch, tmp_path):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    for arguments in (["audit", "--help"], ["info"], ["fool", "--model", "≥ 手"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == (2 if "fool" in arguments else 0)
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)
    assert "\\u2265" in err
    assert "judge" in out


def test_streams_that_were_closed_before_the_start_are_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    sys.stdout.close()
    assert end.value.code == 0


def test_text_is_shown_as_it_is_and_steers_no_terminal(capsys):
    assert screen.visible("≥ 0.99 “5” a\u00a0b") == "≥ 0.99 “5” a\u00a0b"
    table = Table(NASTY)
    table.add_row(NASTY)
    screen.results.print(NASTY, soft_wrap=True)
    screen.results.print(table)
    screen.log.print(NASTY, soft_wrap=True)
    screen.complain(NASTY)
    screen.show(NASTY, {"out": NASTY}, as_json=False)
    screen.show(NASTY, {"out": NASTY}, as_json=True)
    with screen.task(NASTY) as report:
        report(1, 1, NASTY)
    out, err = capsys.readouterr()
    assert out.count(SHOWN) == 4
    assert err.count(SHOWN) == 5
    *_, last = out.splitlines()
    assert json.loads(last) == {"out": NASTY}
    assert out.isprintable() or set(filter(lambda c: not c.isprintable(), out)) == {"\n"}
    assert set(filter(lambda c: not c.isprintable(), err)) == {"\n"}


def test_where_there_is_no_terminal_lines_stay_whole(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    note, cells = "a few words on the state of things, " * 5, [f"{n} wide cells" for n in range(12)]
    table = Table(*cells)
    table.add_row(*cells)
    with screen.task("3,000 rounds") as report:
        report(1, 3000, note)
    screen.log.print(note)
    screen.results.print(table)
    out, err = capsys.readouterr()
    bar, said = err.splitlines()
    assert bar.startswith("3,000 rounds ")
    assert bar.rstrip().endswith(note.rstrip())
    assert said == note
    assert len(out.splitlines()) == 5
    assert all(cell in out for cell in cells)
    monkeypatch.setenv("COLUMNS", "80")
    screen.log.print(note)
    assert len(capsys.readouterr().err.splitlines()) > 1


def test_what_is_wrong_with_a_command_line_steers_no_terminal(capsys):
    code, _, err = run(capsys, "fool", "--count", "\x1b[2J[/b]", "--\x1b]0;title\x07")
    assert code == 2
    assert "\\x1b]0;title\\x07" in err
    code, _, err = run(capsys, "fool", "--count", "\x1b[2J[/b]")
    assert code == 2
    assert "[/b]" in err
    assert "\x1b[2J" not in err


def test_a_name_with_markup_goes_through_a_whole_command(tmp_path, capsys):
    name = tmp_path / f"{NASTY.replace('/', '')}.safetensors"
    save_network(build("reader", load_data(), seed=0), name, load_card("fast"))
    card = json.loads(name.with_suffix(".json").read_text())
    name.with_suffix(".json").write_text(json.dumps(card | {"architecture": "reader"}))
    options = ["--target", "1", "--steps", "1", "--out", str(tmp_path / "[b]1.npz")]
    code, out, err = run(capsys, "fool", "--model", str(name), *options)
    assert code in (0, 1)
    assert "[b]1.npz: " in out
    assert "\x1b" not in out + err


def test_a_failed_command_leaves_no_bar_behind(tmp_path, capsys):
    with pytest.raises(ZeroDivisionError), screen.task("deceiving") as report:
        report(0, 1 // 0)
    assert capsys.readouterr().err == ""
    with screen.task("judging"):  # which tells nothing on the way
        pass
    assert "100%" in capsys.readouterr().err
    code, _, err = run(capsys, "fool", "--start", "fog", "--out", str(tmp_path / "fooled.npz"))
    assert code == 2
    assert err.startswith("deceive: --start: expected one of")


def test_text_that_cannot_be_written_is_refused_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "fool", "--out", "\udcff.npz")
    assert code == 2
    assert err == "deceive: command line: expected UTF-8, got '\\udcff.npz'\n"
    assert list(tmp_path.iterdir()) == []


def test_the_command_alone_shows_the_commands_and_has_a_version(capsys):
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert "leaderboard" in out
    code, out, err = run(capsys, "--version")
    assert (code, err) == (0, "")
    assert out.startswith(f"deceive {__version__}")


def test_no_backend_of_matplotlib_stands_in_the_way():
    """A kernel's, which may not be installed, one that is none, and one that is, in one process."""
    call = (
        "import os, sys\n"
        "import deceive.reporting.figures\n"
        "del sys.modules['matplotlib']\n"
        "for name in ('nope', 'module://no.such', 'svg'):\n"
        "    os.environ['MPLBACKEND'] = name\n"
        "    from deceive.common.plotting import import_matplotlib\n"
        "    import_matplotlib()\n"
        "    import matplotlib.figure\n"
        "    assert os.environ['MPLBACKEND'] == name\n"
        "    assert name == 'nope' or matplotlib.rcParams['backend'] == name\n"
        "    for each in [each for each in sys.modules if each.startswith('matplotlib')]:\n"
        "        del sys.modules[each]\n"
    )
    environment = os.environ | {"MPLBACKEND": "nope"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", call], env=environment, check=True)
