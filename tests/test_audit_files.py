"""The files for other tools that `deceive audit` writes, by its flags."""

import json
import sys
from xml.etree import ElementTree as ET

import jsonschema
import pytest
import yaml

from deceive.auditing import json_schema
from deceive.auditing.budget import Budget
from deceive.cli import main
from worlds.audits import write_bands

MODEL = "from conftest import Bands\ndef sure():\n    print('hello')\n    return Bands(sure=12)\n"

TINY = ["--judge", "none", "--candidates", "4", "--steps", "20", "--curve-candidates", "2"]
TINY += ["--searched", "2", "--queries", "100", "--garbage-images", "20", "--ways", "sign"]

FILES = ["--junit", "out/junit.xml", "--summary", "out/summary.md", "--badge", "out/badge.svg"]
FILES += ["out/badge.json", "--huggingface", "out/index.yaml"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with a model of one's own, and data in MNIST's format."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delitem(sys.modules, "bands_in_a_pipeline", raising=False)
    (tmp_path / "bands_in_a_pipeline.py").write_text(MODEL)
    write_bands(tmp_path / "bands")
    return tmp_path


def audit(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["audit", "bands_in_a_pipeline:sure", "--data", "bands", *TINY, *arguments])
    out, err = capsys.readouterr()
    return end.value.code, out, " ".join(err.split())


def test_every_file_is_written_above_the_limit_too(place, capsys, monkeypatch):
    step = place / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    code, out, err = audit(capsys, *FILES, "--max-gibberish-rate", "0.5", "--json")
    assert code == 1
    assert "deceive: fooling rate 100.0%, more than 50.0%" in err
    assert "hello" in err
    jsonschema.validate(json.loads(out), json_schema())
    assert ET.parse(place / "out/junit.xml").find("testsuite").get("failures") == "2"
    assert step.read_text() == (place / "out/summary.md").read_text()
    assert "**Failed:** fooling rate 100.0%" in step.read_text()
    assert "100.0%" in (place / "out/badge.svg").read_text()
    assert json.loads((place / "out/badge.json").read_text())["color"] == "red"
    assert yaml.safe_load((place / "out/index.yaml").read_text())["model-index"]

    # Once more, from what is stored: replaced, and appended to the step's.
    benchmark = ["--huggingface-benchmark", "org/bands"]
    code, _, err = audit(capsys, *FILES, *benchmark)
    assert code == 0, err
    assert ET.parse(place / "out/junit.xml").find("testsuite").get("failures") == "0"
    assert step.read_text().count("## How sure is bands\\_in\\_a\\_pipeline:sure of garbage?") == 2
    results = yaml.safe_load((place / "out/index.yaml").read_text())
    assert {each["dataset"]["id"] for each in results} == {"org/bands"}


def test_every_file_is_written_of_an_incomplete_audit_too(place, capsys, monkeypatch):
    monkeypatch.setattr(Budget, "stop", 0.0)  # the time is up as soon as anything is kept
    code, *_ = audit(capsys, *FILES, "--budget", "none")
    assert code == 3
    assert ET.parse(place / "out/junit.xml").find(".//skipped") is not None
    assert "**Not complete:**" in (place / "out/summary.md").read_text()
    assert json.loads((place / "out/badge.json").read_text())["color"] == "lightgrey"
    assert (place / "out/badge.svg").exists()
    assert (place / "out/index.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--junit", "same", "--summary", "./same"],
            "--summary: expected a path of its own, got same, which --junit uses too",
        ),
        (
            ["--badge", "a.svg", "a.svg"],
            "--badge: expected a path of its own, got a.svg, which --badge uses too",
        ),
        (
            ["--junit", "runs/audit-sure/audit.json"],
            "got runs/audit-sure/audit.json, which the run folder uses too",
        ),
        (["--junit", "/dev/stdout", "--json"], "got /dev/stdout, which --json uses too"),
        (["--badge", "badge.png"], "--badge: expected files ending in .svg or .json, got badge.p"),
        (["--junit", "bands"], "bands: expected a file or a new path, got a folder"),
        (["--huggingface-benchmark", "org/set"], "expected --huggingface FILE with it"),
        (
            ["--huggingface", "f", "--huggingface-benchmark", "set"],
            "--huggingface-benchmark: expected ORG/NAME, got 'set'",
        ),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(place, capsys, arguments, said):
    before = sorted(place.iterdir())
    code, _, err = audit(capsys, *arguments)
    assert code == 2
    assert said in err
    assert sorted(place.iterdir()) == before
