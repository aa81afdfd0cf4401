"""What has to be true before a release: `python -m tools.release v1.0.0 OWNER/NAME`.

The release workflow runs it with the tag and the repository that it runs for.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

from tools.address import PLACEHOLDER, name

ROOT = Path(__file__).resolve().parents[1]


def version() -> str:
    """The version in `pyproject.toml`."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: str = content["project"]["version"]
    return found


def for_npm(python: str) -> str:
    """A version as npm writes it.

    >>> for_npm("1.0.0rc1"), for_npm("1.0.0")
    ('1.0.0-rc.1', '1.0.0')
    """
    return re.sub(r"(a|b|rc)(\d+)$", r"-\1.\2", python)


def troubles(tag: str, repository: str) -> list[str]:
    """A sentence for each thing that doesn't fit.

    Args:
        tag: such as v1.0.0.
        repository: OWNER/NAME.
    """
    found, said = version(), []
    if tag != f"v{found}":
        said.append(f"tag: expected v{found}, the version in pyproject.toml, got {tag}")
    if name().startswith(f"{PLACEHOLDER}/"):
        said.append(f"address: run python -m tools.address {repository}, and commit what changed")
    elif name() != repository:
        said.append(f"address: expected {repository}, got {name()} in pyproject.toml")
    citation = re.search(r"^version: (.*)$", _read("CITATION.cff"), re.MULTILINE)
    if citation is None or citation[1] != found:
        said.append(f"CITATION.cff: expected version {found}")
    for file in ("web/package.json", "web/package-lock.json"):
        if json.loads(_read(file))["version"] != for_npm(found):
            said.append(f"{file}: expected version {for_npm(found)}")
    if f"\n## {found}\n" not in _read("CHANGELOG.md"):
        said.append(f"CHANGELOG.md: expected a section {found}")
    return said


def _read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Print what doesn't fit, and return the exit code."""
    if len(arguments) != 2:
        print(__doc__)
        return 2
    said = troubles(*arguments)
    print(*said, sep="\n", end="\n" * bool(said))
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
