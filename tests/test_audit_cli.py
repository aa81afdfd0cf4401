import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deceive.auditing import read_report
from deceive.auditing.budget import Budget
from deceive.cli import main
from worlds.audits import write_bands
from worlds.timers import Waiting

SMALL = ["--candidates", "4", "--steps", "60", "--curve-candidates", "4", "--searched", "4"]
SMALL += ["--queries", "100", "--garbage-images", "20", "--ways", "momentum", "--starts", "uniform"]

MODELS = """
import asyncio
import os
import sys

import torch
from conftest import Bands, Tilted
from worlds.audits import Glaring, Relabelled, Strict, band_split, broken

def sure():
    return Bands(sure=12)

def shy():
    return Bands(sure=4)

def judge():
    return Tilted()

def strict():
    return Strict(band_split(5100, 0, Bands()), band_split(100, 1, Bands()))

def relabelled():
    return Relabelled(sure=12)

def nan():
    return Glaring(broken)

class Hanging(Bands):
    def forward(self, images):
        if len(images) == 20:  # the first garbage
            from worlds.timers import Waiting
            Waiting.made.up()  # it got on since the timer began
            Waiting.made.up()
        return super().forward(images)

def hangs():
    return Hanging(sure=12)

class Ending(Bands):
    # Ends the process as soon as it sees garbage: 20 images of each kind.

    def __init__(self, end):
        super().__init__(sure=12)
        self.end = end

    def forward(self, images):
        if len(images) == 20:
            self.end()
        return super().forward(images)

def exits():
    return Ending(lambda: sys.exit(0))

def leaves():
    return Ending(lambda: os._exit(0))

def closes():
    return Ending(lambda: (sys.stdout.close(), sys.stderr.close()))

def replaces():
    def end():
        sys.stdout = sys.stderr = None
    return Ending(end)

def cancelled():
    return Ending(lambda: (_ for _ in ()).throw(asyncio.CancelledError("…")))

def interrupts():
    return Ending(lambda: (_ for _ in ()).throw(KeyboardInterrupt()))

def scripted():
    sys.exit(0)

def leaves_at_once():
    os._exit(0)

def exits_when_asked():
    return lambda images: sys.exit(0)

def never():
    import time
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass
"""


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    out, err = capsys.readouterr()
    return end.value.code, " ".join(out.split()), " ".join(err.split())


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with models of one's own, and data in MNIST's format."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "bands_of_ones_own", raising=False)
    (tmp_path / "bands_of_ones_own.py").write_text(MODELS)
    write_bands(tmp_path / "bands")
    return tmp_path


def audit(capsys, model, *arguments):
    name = f"bands_of_ones_own:{model}"
    return run(capsys, "audit", name, "--data", "bands", *SMALL, *arguments)


def test_names_outside_ascii_and_with_markup_are_json_and_words_like_others(
    place, capsys, monkeypatch
):
    monkeypatch.setattr(Budget, "stop", 0.0)  # the time is up as soon as anything is kept
    (place / "bands").rename(place / "bänder [red]")
    options = ["--data", "bänder [red]", *SMALL, "--judge", "none", "--budget", "none"]
    code, out, err = run(capsys, "audit", "bands_of_ones_own:sure", *options, "--json")
    assert code == 3
    assert out.isascii()
    assert json.loads(out)["data"]["name"] == "bänder [red]"
    page = (place / "runs/audit-sure/report.html").read_text(encoding="utf-8")
    assert "bänder [red]" in page
    assert "Traceback" not in err


def test_an_audit_from_end_to_end(place, capsys):
    code, out, _ = audit(capsys, "sure", "--judge", "bands_of_ones_own:strict")
    assert code == 0
    folder = place / "runs/audit-sure"
    report = read_report(folder / "audit.json")
    assert report.complete
    assert report.rate("asked") == pytest.approx(0.75)
    assert "75.0%" in out
    assert "An attacker who follows its gradient makes it at least 99% sure of gibberish" in out
    page = (folder / "report.html").read_text()
    assert "How sure is bands_of_ones_own:sure of garbage?" in page
    assert not re.search(r'(src|href)="(?!data:)', page)  # all in one file
    assert page.count("<img") >= 4 + 1 + 4 + 5
    assert "75.0%" in page
    assert report.command in page.replace("&#39;", "'")

    # Made again from what is stored.
    (folder / "report.html").unlink()
    code, out, _ = run(capsys, "report", "runs/audit-sure")
    assert code == 0
    assert (folder / "report.html").read_text() == page

    # The limit holds for the worse threshold.
    options = ["--judge", "bands_of_ones_own:strict", "--max-gibberish-rate"]
    assert audit(capsys, "sure", *options, "0.8")[0] == 0
    code, _, err = audit(capsys, "sure", *options, "0.5")
    assert code == 1
    assert "gibberish rate 75.0%, more than 50.0%" in err
    again = json.loads(audit(capsys, "sure", *options, "0.8", "--json")[1])
    assert again == json.loads((folder / "audit.json").read_text())

    # Another size wants another folder, or this one put aside.
    code, _, err = audit(capsys, "sure", *options, "0.8", "--seed", "1")
    assert code == 2
    assert "seed" in err
    assert audit(capsys, "sure", *options, "0.8", "--seed", "1", "--fresh")[0] == 0
    assert (place / "runs/audit-sure.1/audit.json").exists()

    # And the table.
    code, out, _ = run(capsys, "leaderboard", "runs/audit-sure", "runs/audit-sure.1/audit.json")
    assert code == 0
    assert "leaderboard.md: 2 models" in out
    assert (
        "| bands\\_of\\_ones\\_own:sure (fewer attacks) | bands | 100.00% | 75.0% |"
        in (place / "leaderboard.md").read_text()
    )


def test_a_model_near_chance_passes_no_gate(place, capsys):
    for name in ("train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"):
        path = place / "bands" / name
        content = bytearray(path.read_bytes())
        content[-100::10] = [(label + 1) % 4 for label in content[-100::10]]  # one in ten is right
        path.write_bytes(content)
    options = ["--judge", "bands_of_ones_own:strict", "--max-gibberish-rate"]
    code, out, err = audit(capsys, "relabelled", *options, "0.8")
    assert code == 3
    assert out.startswith("Warning: It reads 10.0% of the test images, no better than guessing")
    assert "the figures may be misleading" in err
    page = (place / "runs/audit-relabelled/report.html").read_text()
    assert page.index("Warning.") < page.index("The rates at both thresholds")
    assert "What to do with it" not in page  # no score means anything
    assert audit(capsys, "relabelled", *options, "0.5")[0] == 1


def test_other_data_may_have_any_labels(place, capsys):
    letters = place / "letters"
    letters.mkdir()
    for path in (place / "bands").iterdir():
        content = bytearray(path.read_bytes())
        if "labels" in path.name:
            content[8:] = [label + 1 for label in content[8:]]
        (letters / path.name).write_bytes(content)
    code, _, err = audit(capsys, "sure", "--judge", "none", "--other-data", "letters")
    assert code == 0
    code, _, err = run(capsys, "audit", "bands_of_ones_own:sure", "--data", "letters")
    assert code == 2
    assert "labels up to 4 without 0; renumber the classes" in err


def test_every_judges_accuracy_is_shown(place, capsys):
    judges = ["bands_of_ones_own:judge", "bands_of_ones_own:strict"]
    code, out, _ = audit(capsys, "sure", "--judge", *judges)
    assert code == 0
    assert re.search(r"judge │ 100\.00%.*strict │ \d+\.\d\d%.*majority", out)
    report = read_report(place / "runs/audit-sure/audit.json")
    page = (place / "runs/audit-sure/report.html").read_text()
    for judge in report.judges:
        assert f"{judge.name} (reads {judge.accuracy:.2%} of the test images)" in page


def test_an_honest_judge_takes_the_limit_of_nothing(place, capsys):
    options = ["--judge", "bands_of_ones_own:judge", "--max-gibberish-rate", "0"]
    assert audit(capsys, "sure", *options)[0] == 0


def test_without_a_judge_the_limit_is_for_the_fooling_rate(place, capsys):
    code, out, err = audit(capsys, "sure", "--max-gibberish-rate", "0.5")
    assert code == 1
    assert "fooling rate 100.0%" in err
    assert "There was no judge" in out
    page = (place / "runs/audit-sure/report.html").read_text()
    assert "gibberish rate</th>" not in page


def test_a_budget_ends_it_and_the_same_command_goes_on(place, capsys):
    options = ["--judge", "none", "--budget"]
    code, _, err = audit(capsys, "sure", *options, "1e-6")
    assert code == 3
    assert "not done yet: " in err
    assert "not finished" in (place / "runs/audit-sure/report.html").read_text()
    assert audit(capsys, "sure", *options, "600")[0] == 0
    assert "not finished" not in (place / "runs/audit-sure/report.html").read_text()


def test_a_call_that_does_not_come_back_is_cut_off(place, capsys, monkeypatch):
    monkeypatch.setattr("threading.Timer", Waiting)
    codes = []

    def leave(code):
        codes.append(code)
        raise KeyboardInterrupt

    monkeypatch.setattr("deceive.cli.untrusted.leave", leave)
    options = ["--judge", "none", "--budget"]
    _, out, err = audit(capsys, "hangs", *options, "1000")
    assert codes == [3]
    assert Waiting.made.interval == pytest.approx(2000, rel=0.1)
    assert "a call into the model doesn't return; finished work is kept" in err
    assert "not done yet: garbage: " in err
    assert "It reads 100.00% of the test images correctly" in out
    report = read_report(place / "runs/audit-hangs/audit.json")
    assert report.clean.accuracy == 1
    assert not report.complete
    assert "not finished" in (place / "runs/audit-hangs/report.html").read_text()

    # One that comes back is left alone, and a short budget is given a minute.
    assert audit(capsys, "sure", *options, "1e-6")[0] == 3
    assert Waiting.made.interval == pytest.approx(60, rel=0.1)
    assert not Waiting.made.running


def test_a_process_that_hangs_ends(place):
    """Before there is anything to keep, and in code that no exception gets out of."""
    call = (
        "from deceive.auditing import budget; budget._PATIENCE = 1; "
        "from deceive.cli import main; main()"
    )
    asked = ["audit", "bands_of_ones_own:never", "--data", "bands", "--budget", "1"]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-c", call, *asked],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 3
    assert "a call into the model doesn't return" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("model", "code", "said"),
    [
        ("exits", 3, "and 1 more: SystemExit: 0"),
        ("leaves", 3, "os._exit(0) during an audit"),
        ("cancelled", 3, "CancelledError"),
        ("interrupts", 130, "interrupted"),
        ("scripted", 2, "expected bands_of_ones_own:scripted to give a model; it raised SystemE"),
        ("leaves_at_once", 2, "it raised RuntimeError"),
        ("exits_when_asked", 2, "expected code that lets the audit finish, got SystemExit"),
    ],
)
def test_no_model_ends_an_audit_with_success(place, capsys, model, code, said):
    ended, _, err = audit(
        capsys, model, "--judge", "bands_of_ones_own:judge", "--max-gibberish-rate", "0.01"
    )
    assert ended == code
    assert said in err


@pytest.mark.parametrize("model", ["closes", "replaces"])
def test_a_model_that_closes_the_screen_is_audited_all_the_same(place, capsys, model):
    code, out, err = audit(capsys, model, "--judge", "none")
    assert code == 0
    assert "s of work" in out
    assert "Traceback" not in err


LOUD = """
import os, subprocess, sys
from bands_of_ones_own import sure

print("from the module")

def model():
    print("from the factory")
    os.write(1, b"to the descriptor\\n")
    subprocess.run(["echo", "from a child"])
    network = sure()
    def asked(images):
        print("from the call")
        return network(images)
    return asked

def closing():
    os.close(1)
    sys.stdout.buffer.close()
    return sure()
"""


def audit_loud(place, model, *arguments):
    """An audit in a process of its own, which has real descriptors."""
    (place / "loud.py").write_text(LOUD)
    asked = ["audit", f"loud:{model}", "--data", "bands", "--judge", "none", *SMALL, *arguments]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-m", "deceive", *asked],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_model_that_closes_descriptors_closes_nothing_of_ours(place):
    ended = audit_loud(place, "closing", "--budget", "1e-6")
    assert ended.returncode in (0, 3)  # this call may do all that the budget leaves
    assert "s of work" in ended.stdout


def test_what_a_model_prints_is_kept_out_of_the_results(place):
    ended = audit_loud(place, "model", "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout) == json.loads(
        (place / "runs/audit-model/audit.json").read_text()
    )
    for said in ("the module", "the factory", "to the descriptor", "a child", "the call"):
        assert said in ended.stderr


def test_importing_a_script_that_exits_is_no_success(place, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "a_script", raising=False)
    (place / "a_script.py").write_text("import sys; sys.exit(0)")
    with pytest.raises(SystemExit) as end:
        main(["audit", "a_script:model", "--data", "bands", "--max-gibberish-rate", "0.01"])
    assert end.value.code == 2
    assert "it raised SystemExit: 0" in " ".join(capsys.readouterr().err.split())


def test_nan_is_said_and_not_complete(place, capsys):
    code, out, err = audit(capsys, "nan", "--judge", "none")
    assert code == 3
    assert "failed: attack: momentum from uniform" in err
    assert "expected finite logits" in err
    assert "NaN or infinity" in out
    assert (
        "raised errors in parts of the audit" in (place / "runs/audit-nan/report.html").read_text()
    )


def test_a_model_that_resists_draws_its_page_too(place, capsys):
    code, out, _ = audit(capsys, "shy", "--judge", "bands_of_ones_own:strict")
    assert code == 0
    said = " ".join(out.split())
    assert "86.7% sure (its own threshold) of gibberish in 3 of 4 attempts" in said
    assert "At 99%, 0.0% of the attempts succeed." in said
    assert "only" in (place / "runs/audit-shy/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere:net"], "expected a module nowhere, found none here"),
        (["bands_of_ones_own:sure", "--steps", "0"], "--steps: expected a number of at least 1"),
        (["bands_of_ones_own:sure", "--max-gibberish-rate", "2"], "--max-gibberish-rate: expected"),
        (["bands_of_ones_own:sure", "--data", "nothere"], "nothere"),
        (["bands_of_ones_own:sure", "--bounds", "1", "0"], "bounds: expected (low, high)"),
        (["fast", "--budget", "abc"], "expected a number of seconds or none, got 'abc'"),
        (["fast", "--output", "2"], "output: expected none for a model with one output"),
    ],
)
def test_bad_input_is_one_sentence(place, capsys, arguments, said):
    before = sorted(place.rglob("*"))
    code, _, err = run(capsys, "audit", "--data", "bands", *arguments)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
    assert [path for path in sorted(place.rglob("*")) if "__pycache__" not in str(path)] == before


def test_bad_tables_are_one_sentence(place, capsys):
    code, _, err = run(capsys, "leaderboard", "nowhere.json")
    assert code == 2
    assert "expected an audit.json" in err
    code, _, err = run(capsys, "report", "bands")
    assert code == 2
