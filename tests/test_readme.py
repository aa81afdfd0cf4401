"""The README is short, and what it shows is what happens."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from worlds.commands import run

CLONE = Path(__file__).parents[1]
README = (CLONE / "README.md").read_text(encoding="utf-8")
(CONSOLE,) = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
YOUR_DATA = re.findall(
    r"```python\n(.*?)```",
    (CLONE / "docs/how-to/your-data.md").read_text(encoding="utf-8"),
    re.DOTALL,
)
SHOWN = [
    (shlex.split(command), printed)
    for command, printed in re.findall(r"^\$ deceive (.*)\n(.+)$", CONSOLE, re.MULTILINE)
]


def without_numbers(text):
    """Confidences and steps differ in the last digits from one kind of processor to another."""
    return re.sub(r"\d+(\.\d+)?%?", "#", text)


def test_it_is_read_in_two_minutes():
    assert len(README.splitlines()) <= 120
    assert len(README.split()) <= 700
    moving = CLONE / re.findall(r"\]\((images/.*?)\)", README)[0]
    assert moving.stat().st_size <= 1_000_000


@pytest.mark.shipped
@pytest.mark.parametrize(("command", "printed"), SHOWN)
def test_its_commands_print_this(tmp_path, monkeypatch, capsys, command, printed):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, *command)
    assert code == 0
    assert without_numbers(out.strip()) == without_numbers(printed)


def test_three_commands_are_shown():
    assert len(SHOWN) == 3


@pytest.mark.parametrize("page", sorted((CLONE / "docs/explanation").glob("*.md")))
def test_an_explanation_takes_a_few_minutes(page):
    assert len(page.read_text(encoding="utf-8").split()) <= 1500


def test_the_guide_to_networks_of_your_own_runs(capsys):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(YOUR_DATA[0], "your-data.md", "exec"), {})
    assert capsys.readouterr().out.endswith("of the images reach 0.99\n")


@pytest.mark.shipped
def test_it_draws_with_the_network_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(re.findall(r'path = "(.*?)"', YOUR_DATA[1])[0])
    path.parent.mkdir(parents=True)
    for ending in (".safetensors", ".json"):
        shutil.copy(CLONE / f"models/rounds-030000{ending}", path.with_suffix(ending))
    names = {}
    exec(compile(YOUR_DATA[1].replace("count=20", "count=1"), "your-data.md", "exec"), names)
    assert names["clothes"].images.shape == (10, 1, 28, 28)
    assert names["clothes"].fooled.sum() >= 9


@pytest.mark.shipped
def test_its_python_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(compile(code, "README", "exec"), names)
    result = names["result"]
    assert result.fooled.all()
    assert result.images.shape == (10, 1, 28, 28)
    assert torch.all(result.confidence >= 0.99)
    printed, agreement = capsys.readouterr().out.splitlines()
    assert printed.startswith("FoolingResult(10 candidates, 10 fooled, ")
    assert float(agreement) <= 0.4
