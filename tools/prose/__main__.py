"""Check the prose of the named files, or of every file that a person reads.

It prints a line for each finding, and the exit code is 1 if there is one.
"""

import sys
from pathlib import Path

from tools.prose import findings, passages

ROOT = Path(__file__).resolve().parents[2]
READ = (
    "*.md",
    "benchmarks/README.md",
    "docs/**/*.md",
    "notebooks/*.ipynb",
    "paper/*.md",
    "web/README.md",
    "src/deceive/**/*.py",
    "src/deceive/**/*.jinja",
    "web/index.html",
    "web/src/*.js",
    "tools/**/*.py",
)
"""What is checked."""

NOTES = ROOT / "docs" / "laboratory"
"""Notes of what was tried, in the words of their day: not checked."""


def checked() -> list[Path]:
    """The files that are checked when none is named."""
    found = [path for pattern in READ for path in sorted(ROOT.glob(pattern))]
    rules = Path(__file__).with_name("rules.py")
    return [path for path in found if path != rules and not path.is_relative_to(NOTES)]


def report(path: Path) -> list[str]:
    """A line for each finding in a file, by line number."""
    found = sorted(each for passage in passages(path) for each in findings(passage))
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    return [f'{where}:{line}: "{said}": write {instead}' for line, said, instead in found]


def main(names: list[str]) -> int:
    """Check files, and return the exit code."""
    paths = [Path(name).resolve() for name in names] or checked()
    lines = [line for path in paths for line in report(path)]
    print(*lines, sep="\n", end="\n" * bool(lines))
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
