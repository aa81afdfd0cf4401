"""The versions that `pyproject.toml` allows, and the oldest of them, which `make lowest` tests."""

import re
import tomllib
from pathlib import Path

CLONE = Path(__file__).parents[1]
PROJECT = tomllib.loads((CLONE / "pyproject.toml").read_text())["project"]

# What is needed to work on deceive, or to compare it, and not to use it.
OURS = {"dev", "bench", "docs"}


def test_the_oldest_versions_that_are_tested_are_those_that_are_allowed():
    extras = PROJECT["optional-dependencies"]
    wanted = set(PROJECT["dependencies"])
    wanted |= {each for name in extras.keys() - OURS for each in extras[name]}
    lines = {
        each if each.startswith("deceive[") else re.sub(r">=([\d.]+).*", r"==\1", each)
        for each in wanted
    }
    expected = sorted(line for line in lines if not line.startswith("deceive["))
    found = (CLONE / "constraints-lowest.txt").read_text().splitlines()
    assert [line for line in found if not line.startswith("#")] == expected
    assert all(re.fullmatch(r"[a-z0-9-]+==[\d.]+", line) for line in expected)


def test_the_versions_of_every_day_are_allowed():
    """Each pinned one in `constraints.txt` is at least the oldest, but for those of `OURS`."""
    lowest = dict(
        line.split("==")
        for line in (CLONE / "constraints-lowest.txt").read_text().splitlines()
        if "==" in line
    )
    for line in (CLONE / "constraints.txt").read_text().splitlines():
        if "==" in line:
            name, version = line.split("==")
            oldest = lowest.get(name, "0")
            assert [*map(int, version.split("."))] >= [*map(int, oldest.split("."))]
