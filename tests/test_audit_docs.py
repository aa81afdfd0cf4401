"""`docs/audit.md` is true: its examples run, and its schema is the code's."""

import re
import shlex
import sys
from pathlib import Path

import pydantic
import pytest
import torch
from tools import audit_schema

from deceive.auditing import json_schema, read_report
from deceive.auditing.attacks import WAYS
from deceive.auditing.candidates import WHITE_STARTS
from deceive.auditing.garbage import GARBAGE
from deceive.auditing.parts.transfer import SURROGATES
from deceive.auditing.proposers import SEARCHES
from deceive.auditing.record.measured import KINDS
from deceive.cli import main
from deceive.data.loading import load_data
from deceive.data.source import MNIST

DOCS = Path(__file__).resolve().parents[1] / "docs"
TEXT = (DOCS / "audit.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [shlex.split(line) for line in re.findall(r"^    (deceive .*)$", TEXT, re.MULTILINE)]


def command_with(word):
    """The words after `deceive` of the only command that has this one."""
    (command,) = (each[1:] for each in COMMANDS if word in each)
    return command


# Enough to see that it works.
SMALL = [
    "--candidates",
    "10",
    "--steps",
    "15",
    "--curve-candidates",
    "2",
    "--searched",
    "2",
    "--queries",
    "100",
]
SMALL += ["--garbage-images", "20"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DECEIVE_DATA", str(MNIST.shipped))
    monkeypatch.delitem(sys.modules, "my_model", raising=False)
    return tmp_path


def audit(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main([*arguments, *SMALL])
    return end.value.code, capsys.readouterr()


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 11),
    reason="earlier versions of pydantic say the same schema in another way",
)
def test_the_schema_is_the_codes():
    for path, content in audit_schema.files().items():
        assert path.read_text(encoding="utf-8") == content
        assert not re.search(r"\|  \|$", content, re.MULTILINE)  # every field says what it is
    page = (DOCS / "audit-schema.md").read_text(encoding="utf-8")
    assert page.count("\n## ") == len(json_schema()["$defs"]) + 1


def test_every_command_is_known():
    assert [command[1:3] for command in COMMANDS] == [
        ["audit", "MODEL"],
        ["audit", "my_model:classifier"],
        ["audit", "MODEL"],
        ["audit", "my_model:classifier"],
        ["audit", "my_model:classifier"],
        ["audit", "mlp.onnx"],
        ["audit", "convnet.keras"],
    ]


def test_everything_is_named():
    for name in (*WAYS, *SEARCHES, *(f"made for {name}" for name in SURROGATES)):
        assert f"`{name}`" in TEXT
    assert {*GARBAGE, "other data", "optimised"} == set(KINDS)
    assert len(WHITE_STARTS) == 6


@pytest.mark.shipped
def test_a_factory_of_ones_own(place, capsys):
    (example,) = (code for code in PYTHON if "my_model.py" in code)
    (place / "my_model.py").write_text(example)
    train = load_data().train
    means = torch.stack([train.images[train.labels == k].mean(0).flatten() for k in range(10)])
    weights = {"1.weight": means, "1.bias": -means.square().sum(1) / 2}  # the nearest mean
    torch.save(weights, place / "weights.pt")
    code, _ = audit(capsys, "audit", "my_model:classifier", "--out", "run")
    report = read_report(place / "run/audit.json")
    assert code == 0
    assert report.complete
    assert report.clean.accuracy == pytest.approx(0.82, abs=0.01)
    assert {headline.box for headline in report.headlines} == {"white", "black"}
    # As a check in a user's tests: everything is there already.
    limited = command_with("--max-gibberish-rate")
    code, said = audit(capsys, *limited, "--out", "run")
    limit = float(limited[limited.index("--max-gibberish-rate") + 1])
    assert code == (1 if report.worst_rate > limit else 0)
    assert ("more than 5.0%" in said.err) == (code == 1)


@pytest.mark.shipped
def test_in_python(place, capsys):
    (example,) = (code for code in PYTHON if "deceive.audit(model" in code)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(example, "docs/audit.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("True")
    assert printed[1].startswith("uniform ")


@pytest.mark.shipped
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # Keras' own
@pytest.mark.parametrize(
    ("library", "name", "command", "known"),
    [
        ("sklearn", "mlp", command_with("mlp.onnx"), ("ONNX", "It returns probabilities")),
        (
            "keras",
            "convnet",
            command_with("convnet.keras"),
            ("Keras", "It returns the softmax of its logits"),
        ),
    ],
)
def test_a_classifier_born_elsewhere(place, capsys, monkeypatch, library, name, command, known):
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # and put back
    (example,) = (code for code in PYTHON if f"from {library}" in code)
    exec(compile(example, "docs/audit.md", "exec"), {})
    code, said = audit(capsys, *command, "--judge", "none", "--ways", "momentum")
    report = read_report(place / f"runs/audit-{name}/audit.json")
    assert code == 0
    assert report.model.format == known[0]
    assert report.clean.accuracy > 0.75
    assert known[1] in " ".join(said.out.split())
    assert {attack.name for attack in report.attacks} >= {
        "squares",
        *(f"made for {name}" for name in SURROGATES),
    }
