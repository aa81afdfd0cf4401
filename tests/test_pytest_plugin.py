"""The plugin of pytest, in runs of pytest of its own."""

import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import torchmetrics

import deceive.reporting.audit
import deceive.testing.items
from deceive.auditing import read_report
from deceive.auditing.budget import Budget
from deceive.cli.declared import Declared
from deceive.reporting.exports.checks import KEYS
from worlds.audits import write_bands

pytest_plugins = ["pytester"]

CLONE = Path(__file__).parents[1]

# A run forgets the modules that it imports; those that can't be imported twice are imported before.
IMPORTED = (torchmetrics, deceive.reporting.audit, deceive.testing.items)

FLAG = r"--deceive[a-z-]*"

CONFTEST = """
import deceive

def pytest_deceive_options(config):
    small = dict(candidates=4, steps=20, curve_candidates=2, searched=2, queries=100)
    return {"settings": deceive.AuditSettings(**small, garbage_images=20, ways=("sign",))}
"""

MODELS = """
from worlds.audits import Bands, Glaring, broken

def sure():
    return Bands(sure=12)

def nan():
    return Glaring(broken)
"""

TEST = """
import deceive
from bands_in_a_test import sure

small = dict(candidates=4, steps=20, curve_candidates=2, searched=2, queries=100)
small = deceive.AuditSettings(**small, garbage_images=20, ways=("sign",))

def test_the_model(deceive_audit):
    report = deceive_audit(sure(), "bands", judge=None, settings=small)
    assert report.complete
    assert report.worst_rate <= 0.05
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest on a project with models and data of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(bands_in_a_test=MODELS)
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error")
    write_bands(pytester.path / "bands")

    def run(*arguments):
        options = ["-p", "deceive.testing.plugin", "-p", "no:cacheprovider", *arguments]
        return pytester.runpytest_inprocess(*options)

    return run


def on(model, *arguments):
    return "--deceive", f"bands_in_a_test:{model}", "--deceive-data", "bands", *arguments


def test_each_check_is_an_item(run, pytester):
    result = run(*on("sure", "--deceive-max", "0.05", "--deceive-out", "out"), "--junitxml=x.xml")
    result.assert_outcomes(failed=2, passed=len(KEYS) - 2)
    result.stdout.fnmatch_lines(
        [
            f"collected {len(KEYS)} items",
            "*_ deceive::rate-asked _*",
            "fooling rate 100.0%, more than 5.0%",
            "  real images that reach it: 100.0%",
            "FAILED deceive::rate-asked - fooling rate 100.0%, more than 5.0%",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert read_report(pytester.path / "out/audit.json").complete
    assert (pytester.path / "out/report.html").exists()
    case = ET.parse(pytester.path / "x.xml").find(".//testcase[@name='real-images']")
    assert case.find("properties/property").get("value") == "100.00%"


def test_items_can_be_chosen_and_are_done_once_they_run(run, monkeypatch):
    result = run(*on("sure"), "--collect-only", "-q")
    assert result.stdout.lines[: len(KEYS)] == [f"deceive::{key}" for key in KEYS]
    # The time is up as soon as a part is kept. With a budget, a slow machine keeps less at once.
    monkeypatch.setattr(Budget, "stop", 0.0)
    result = run(
        *on("sure", "--deceive-budget", "none"), "-k", "real-images or uniform or complete"
    )
    result.assert_outcomes(passed=1, failed=1, skipped=1, deselected=len(KEYS) - 3)
    result.stdout.fnmatch_lines(["not done: garbage: uniform; *"])


def test_a_model_that_breaks_fails(run):
    result = run(*on("nan"), "-k", "complete or warnings")
    result.stdout.fnmatch_lines(["*expected finite logits, got NaN or infinity*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (on("nowhere"), "model: expected 'nowhere' in bands_in_a_test, found none; *"),
        (("--deceive", "bands_in_a_test:sure", "--deceive-data", "none"), "none: expected *"),
        (on("sure", "--deceive-size", "4by4"), "--deceive-size: expected HxW, such as 48x192, *"),
        (
            on("sure", "--deceive-bounds", "3", "1", "-k", "complete"),
            "--deceive-bounds: expected *",
        ),
        (on("sure", "--deceive-max", "7"), "--deceive-max: expected a number of at least 0 and*"),
    ],
)
def test_bad_input_is_said_in_a_sentence(run, arguments, said):
    result = run(*arguments)
    assert result.ret != 0
    result.stdout.fnmatch_lines([said])
    assert "Traceback" not in result.stdout.str()


def test_options_declare_the_model_as_flags_of_the_audit_do(run, pytester):
    options = ["--deceive-bounds", "0", "2", "--deceive-size", "4", "--deceive-class-names"]
    result = run(*on("sure", "--deceive-out", "out", *options, "a,b,c,d"), "-k", "real-images")
    result.assert_outcomes(passed=1, deselected=len(KEYS) - 1)
    report = read_report(pytester.path / "out/audit.json")
    assert report.model.bounds == (0, 2)
    assert report.data.class_names == ["a", "b", "c", "d"]
    assert "--size 4x4 --bounds 0 2 --class-names a,b,c,d" in report.command


def test_a_failed_test_with_the_fixture_shows_what_was_found(run, pytester):
    pytester.makepyfile(TEST)
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*assert 1.0 <= 0.05",
            "E*where 1.0 = AuditReport(model='Bands', worst_rate=1.0, complete=True*.worst_rate",
            "*- deceive audit of Bands -*",
            "*makes it at least 99% sure of *",
        ]
    )


def test_nothing_heavy_is_imported_before_it_is_used():
    code = "import sys, deceive.testing.plugin; print({'torch', 'pydantic'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).stdout == b"set()\n"


def test_the_docs_name_its_flags(run):
    page = (CLONE / "docs/how-to/audit-pipelines.md").read_text()
    shown = run("--help").stdout.str()
    assert set(re.findall(FLAG, page)) == set(re.findall(FLAG, shown))
    named = {each.removeprefix("--deceive-").replace("-", "_") for each in re.findall(FLAG, shown)}
    assert {field.name for field in fields(Declared) if "judge" not in field.name} <= named


def test_pytest_finds_it():
    project = tomllib.loads((CLONE / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"deceive": "deceive.testing.plugin"}
