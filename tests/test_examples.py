"""The examples in docstrings run, and print what they say.

Those of public names stand alone, so that they can be pasted anywhere. The others know the names
of their module, as they do for `python -m doctest`.
"""

import doctest
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import deceive
import deceive.auditing
import deceive.guarding

PUBLIC = {*deceive.__all__, *deceive.auditing.__all__, *deceive.guarding.__all__}
SOURCE = Path(inspect.getfile(deceive)).parent


def examples() -> Iterator[doctest.DocTest]:
    """Every docstring that has some."""
    for path in sorted(SOURCE.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            name = ".".join(("deceive", *path.relative_to(SOURCE).with_suffix("").parts))
            module = importlib.import_module(name.removesuffix(".__init__"))
            yield from (each for each in doctest.DocTestFinder().find(module) if each.examples)


@pytest.mark.parametrize("example", [*examples()], ids=lambda example: example.name)
def test_an_example_prints_what_it_says(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    if example.name.rpartition(".")[2] in PUBLIC:
        example.globs = {}
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("package", [deceive, deceive.auditing, deceive.guarding])
def test_every_public_name_has_an_example(package):
    names = set(package.__all__) - {
        "POLISH",
        "PRESETS",
        "QUICK",
        "SOFT_POLISH",
        "THOROUGH",
    }  # settings
    parser = doctest.DocTestParser()
    assert [n for n in sorted(names) if not parser.get_examples(getattr(package, n).__doc__)] == []


def test_a_package_is_there_without_an_import_of_its_own():
    code = "import deceive; print(deceive.auditing.Gate.__name__)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "Gate\n"
