"""`action.yml`, whose shell steps are run as GitHub runs them."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from deceive.cli.commands import parse
from deceive.cli.declared import Declared
from worlds.audits import write_bands

CLONE = Path(__file__).parents[1]
ACTION = yaml.safe_load((CLONE / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}

SMALL = "--judge none --candidates 4 --steps 20 --curve-candidates 2 --searched 2 --queries 100 "
SMALL += "--garbage-images 20 --ways sign --other-data 'my bands'"

# Keeps the calls of pip, and of a model that isn't there; leaves everything else to Python.
PYTHON = f"""#!/bin/bash
if [ "$2" = pip ]; then printf '%s\\n' "$@" > pip-was-asked; exit; fi
if [ "$4" = my:nothing ]; then printf '%s\\n' "$@" > was-asked; exit 2; fi
exec {shlex.quote(sys.executable)} "$@"
"""


def filled_in(text, inputs):
    """Text with its expressions replaced, as GitHub does it."""

    def value(match):
        room, name = match[1].split(".")
        if room == "inputs":
            return inputs.get(name, ACTION["inputs"][name].get("default"))
        assert (room, name) == ("github", "action_path")
        return str(CLONE)

    return re.sub(r"\$\{\{ ([\w.-]+) \}\}", value, text)


@pytest.fixture
def run(tmp_path):
    """Runs a shell step in a project; the value is the process that ended, and its outputs."""
    (tmp_path / "my.py").write_text("from conftest import Bands\ndef net(): return Bands(sure=12)")
    write_bands(tmp_path / "my bands")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(PYTHON)
    (tmp_path / "bin/python").chmod(0o755)

    def run(name, **inputs):
        step = STEPS[name]
        assert step["shell"] == "bash"
        (tmp_path / "script").write_text(filled_in(step["run"], inputs))
        (tmp_path / "output").write_text("")
        environment = {key: filled_in(value, inputs) for key, value in step["env"].items()} | {
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md"),
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(CLONE / "tests"), *sys.path]),
        }
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", tmp_path / "script"],
            cwd=tmp_path,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        lines = (tmp_path / "output").read_text().splitlines()
        return ended, dict(line.split("=") for line in lines)

    return run


def test_the_audit_step_writes_all_files_and_outputs(run, tmp_path):

    inputs = {"model": "my:net", "data": "my bands", "max-gibberish-rate": "0.05", "args": SMALL}
    ended, outputs = run("Audit", **inputs)
    assert ended.returncode == 1, ended.stderr
    assert outputs == {"gibberish-rate": "1.0", "complete": "true"}
    assert set(outputs) == set(ACTION["outputs"])
    found = {path.name for path in (tmp_path / "deceive-audit").iterdir()}
    assert found >= {"report.html", "audit.json", "junit.xml", "badge.svg", "model-index.yaml"}
    assert ET.parse(tmp_path / "deceive-audit/junit.xml").find("testsuite").get("failures") == "2"
    assert "**Failed:**" in (tmp_path / "step.md").read_text()


def test_inputs_are_the_flags_that_declare_a_model(run, tmp_path):
    lists = {"bounds": (-1.0, 1.0), "mean": (0.485, 0.456, 0.406), "std": (0.2, 0.2, 0.2)}
    texts = {"resize": "9", "crop": "8x7", "preprocess": "my:prepared", "device": "cpu"}
    texts |= {"output": "-logits", "class-names": "a cat,dog", "rubbish-class": "2", "size": "4"}
    given = {name: " ".join(map(str, values)) for name, values in lists.items()} | texts
    declared = {field.name.replace("_", "-") for field in fields(Declared)}
    assert set(given) == {name for name in declared if not name.startswith("judge-")}
    ended, _ = run("Audit", model="my:nothing", data="my bands", budget="none", **given)
    assert ended.returncode == 2
    _, _, *asked = (tmp_path / "was-asked").read_text().splitlines()
    command = parse(asked)
    assert (str(command.data), command.budget) == ("my bands", "none")
    found = {name: getattr(command.declared, name.replace("-", "_")) for name in given}
    assert {name: found[name] for name in lists} == lists
    assert {name: str(found[name]) for name in texts} == texts


def test_a_model_that_is_not_there_fails_without_outputs(run, tmp_path):
    ended, outputs = run("Audit", model="$(touch hacked) `touch hacked`; touch hacked")
    assert ended.returncode == 2
    assert outputs == {}
    assert not (tmp_path / "hacked").exists()


def test_the_install_step_installs_the_clone(run, tmp_path):
    ended, _ = run("Install")
    assert ended.returncode == 0
    assert (tmp_path / "pip-was-asked").read_text().splitlines()[-1] == f"{CLONE}[audit]"


def test_foreign_text_reaches_no_script():
    """Expressions in a script would be run as code."""
    assert all("${{" not in step.get("run", "") for step in STEPS.values())
    text = (CLONE / "action.yml").read_text()
    used = set(re.findall(r"inputs\.([\w-]+)", text))
    assert used == set(ACTION["inputs"])
    assert {each["uses"].split("@")[0] for each in STEPS.values() if "uses" in each} == {
        "actions/setup-python",
        "actions/upload-artifact",
    }


def test_the_example_uses_its_inputs_and_outputs():
    text = (CLONE / "docs/how-to/audit-pipelines.md").read_text()
    (example,) = (
        yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    )
    assert set(example[0]["with"]) <= set(ACTION["inputs"])
    assert {name for name, each in ACTION["inputs"].items() if each.get("required")} <= set(
        example[0]["with"]
    )
    assert set(re.findall(r"steps\.audit\.outputs\.([\w-]+)", text)) <= set(ACTION["outputs"])
