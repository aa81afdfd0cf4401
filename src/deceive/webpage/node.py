"""Node.js and npm, which build the page."""

import re
import shutil
import subprocess
from pathlib import Path

from deceive.common.errors import InputError

_NODE = (20, 19)  # what Vite asks for


def npm() -> str:
    """The path of npm. Raises `InputError` without it, or without a Node.js that is new enough."""
    node, found = shutil.which("node"), shutil.which("npm")
    wanted = ".".join(map(str, _NODE))
    if node is None or found is None:
        missing = "node" if node is None else "npm"
        raise InputError(
            f"page: expected Node.js {wanted} or newer, which builds it, found no {missing}"
        )
    said = run([node, "--version"])
    version = tuple(map(int, re.findall(r"\d+", said)[:2]))
    if version < _NODE:
        raise InputError(
            f"page: expected Node.js {wanted} or newer, got {said.strip() or 'nothing'}"
        )
    return found


def run(command: list[str], folder: Path | None = None) -> str:
    """A program's stdout. Raises `InputError` with its messages if it fails."""
    called = " ".join([Path(command[0]).name, *command[1:]])
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise InputError(f"page: expected `{called}` to run; {error}") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise InputError(f"page: expected `{called}` to succeed; it printed: {said}")
    return done.stdout
