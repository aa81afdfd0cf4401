"""The docs of the audit are true: its examples run, and its schema is the code's."""

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pydantic
import pytest
import torch
from PIL import Image
from tools import audit_schema, cards

import deceive
from deceive.auditing import json_schema, read_report
from deceive.auditing.attacks import WAYS
from deceive.auditing.candidates import WHITE_STARTS
from deceive.auditing.garbage import GARBAGE
from deceive.auditing.parts.transfer import SURROGATES
from deceive.auditing.proposers import SEARCHES
from deceive.auditing.record.measured import KINDS
from deceive.cli import main
from deceive.data.source import MNIST

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = ("audit.md", "audit-inputs.md", "audit-results.md", "audit-pipelines.md")
TEXT = "\n".join((DOCS / "how-to" / page).read_text(encoding="utf-8") for page in PAGES)
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
SMALL += ["--garbage-images", "20", "--real-images", "500"]


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
    page = (DOCS / "reference" / "audit-schema.md").read_text(encoding="utf-8")
    assert page.count("\n## ") == len(json_schema()["$defs"]) + 1


@pytest.mark.skipif(
    tuple(map(int, pydantic.VERSION.split(".")[:2])) < (2, 11),
    reason="earlier versions of pydantic say the same schema in another way",
)
def test_the_page_of_the_cards_is_the_codes():
    assert cards.PAGE.read_text(encoding="utf-8") == cards.page()


def test_every_command_is_known():
    assert [command[1:3] for command in COMMANDS] == [
        ["audit", "MODEL"],
        ["audit", "my_model.py:classifier"],
        ["audit", "my_model.py:classifier"],
        ["audit", "mlp.onnx"],
        ["audit", "convnet.keras"],
        ["audit", "MODEL"],
        ["audit", "MODEL"],
        ["audit", "my_model.py:classifier"],
    ]


def test_everything_is_named():
    for name in (*WAYS, *SEARCHES, *(f"made for {name}" for name in SURROGATES)):
        assert f"`{name}`" in TEXT
    assert {*GARBAGE, "other data", "optimised"} == set(KINDS)
    assert len(WHITE_STARTS) == 6


def photos(folder):
    """Dark cats and bright dogs, which overlap: class folders of 64 × 64 pixels, without splits."""
    generator = np.random.default_rng(0)
    for name, grey in (("cat", 110), ("dog", 140)):
        (folder / name).mkdir(parents=True)
        for number in range(60):
            noise = generator.normal(grey + generator.normal(0, 20), 30, (64, 64, 3))
            picture = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
            picture.save(folder / name / f"{number}.png")


def test_the_first_audit(place, capsys):
    photos(place / "photos")
    (example,) = (code for code in PYTHON if "my_model.py" in code)
    (place / "my_model.py").write_text(example)
    # It says dog to what is brighter than the middle, 125 of 255, in the pixels of the command.
    pixels = 3 * 64 * 64
    bright = torch.full((pixels,), 20 / pixels)
    middle = (125 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    bias = -20 * middle.mean()
    weights = {"1.weight": torch.stack([-bright, bright]), "1.bias": torch.stack([-bias, bias])}
    torch.save(weights, place / "weights.pt")
    asked = command_with("photos")
    code, said = audit(capsys, *asked, "--out", "run")
    report = read_report(place / "run/audit.json")
    assert code == 0
    assert report.complete
    assert report.data.class_names == ["cat", "dog"]
    data = deceive.open_data(place / "photos", from_test=True)
    right = (data.test.read(slice(None)).mean((1, 2, 3)) > 125 / 255) == data.test.labels.bool()
    assert 0.6 < report.clean.accuracy < 1
    assert report.clean.accuracy == pytest.approx(right.double().mean().item(), abs=0.05)
    assert {headline.box for headline in report.headlines} == {"white", "black"}
    # As a check in a user's tests: everything is there already.
    limited = command_with("--max-gibberish-rate")
    code, said = audit(capsys, *limited, *asked[2:], "--out", "run")
    limit = float(limited[limited.index("--max-gibberish-rate") + 1])
    assert code == (1 if report.worst_rate > limit else 0)
    assert ("more than 5.0%" in said.err) == (code == 1)


@pytest.mark.shipped
def test_in_python(place, capsys):
    (example,) = (code for code in PYTHON if "deceive.audit(model" in code)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(example, "docs", "exec"), {})
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
    exec(compile(example, "docs", "exec"), {})
    code, said = audit(capsys, *command, "--judge", "none", "--ways", "momentum")
    report = read_report(place / f"runs/audit-{name}/audit.json")
    assert code == 0
    assert report.model.format == known[0]
    assert report.model.bounds == (0, 1)  # as it was trained
    assert report.clean.accuracy > 0.75
    assert known[1] in " ".join(said.out.split())
    assert {attack.name for attack in report.attacks} >= {
        "squares",
        *(f"made for {name}" for name in SURROGATES),
    }
