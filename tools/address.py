"""The repository's address, which several files name: `pyproject.toml` has it first.

`python -m tools.address` prints it. `python -m tools.address OWNER/NAME` writes another one into
every file that names it. `python -m tools.address --check` fails while it is a placeholder.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = "OWNER"
_HOST = "https://github.com/"


def repository() -> str:
    """The address, such as https://github.com/OWNER/deceive."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    address: str = content["project"]["urls"]["Repository"]
    return address


def name() -> str:
    """OWNER/NAME, as GitHub has it."""
    return repository().removeprefix(_HOST)


def moved(text: str, old: str, new: str) -> str:
    """A text in which the repository `old` and its site are `new` and its site.

    >>> moved("OWNER/deceive and OWNER.github.io/deceive/play", "OWNER/deceive", "me/it")
    'me/it and me.github.io/it/play'
    """
    for slash in ("/", ".github.io/"):
        pattern = rf"(?<![\w-]){re.escape(old.replace('/', slash))}(?![\w-])"
        text = re.sub(pattern, new.replace("/", slash), text)
    return text


def move(new: str) -> list[str]:
    """Write another address into every file of the repository, and return their paths."""
    old = name()
    listed = subprocess.run(
        ["git", "grep", "-lI", "-e", old, "-e", old.replace("/", ".github.io/")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    files = listed.stdout.splitlines()
    for each in files:
        path = ROOT / each
        path.write_text(moved(path.read_text(encoding="utf-8"), old, new), encoding="utf-8")
    return files


def main(arguments: list[str]) -> int:
    """Run the command line, and return the exit code."""
    match arguments:
        case []:
            print(repository())
        case ["--check"]:
            if name().startswith(f"{PLACEHOLDER}/"):
                print(f"{repository()} is a placeholder: run python -m tools.address OWNER/NAME")
                return 1
        case [new] if re.fullmatch(r"[\w.-]+/[\w.-]+", new):
            print(*move(new), sep="\n")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
