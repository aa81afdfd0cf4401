"""The examples in docstrings run as they stand, in a new session, and print what they say."""

import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import deceive

SOURCE = Path(inspect.getfile(deceive)).parent


def examples() -> Iterator[doctest.DocTest]:
    """All of them, each with nothing defined before it."""
    for path in sorted(SOURCE.rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            name = ".".join(("deceive", *path.relative_to(SOURCE).with_suffix("").parts))
            module = importlib.import_module(name.removesuffix(".__init__"))
            found = doctest.DocTestFinder().find(module, extraglobs={})
            yield from (each for each in found if each.examples)


@pytest.mark.parametrize("example", [*examples()], ids=lambda example: example.name)
def test_an_example_prints_what_it_says(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example.globs = {}
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert not said, "".join(said)
