"""The command line, and the files that commands read."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from deceive.common.errors import InputError
from soak import mutations
from soak.mutations import Random
from soak.readers.reader import Files, Wrong, interruptible
from soak.world import KINDS, Trail, command, files_of


def _ask(arguments: list[str]) -> str:
    """Run the command line; returns its output, or raises `InputError` if it refused the input."""
    with interruptible() as interrupted:
        said = command(arguments)
    if interrupted and "KeyboardInterrupt" in said.err:  # Python reports it where it can't raise it
        return said.out
    if said.error is not None:
        raise said.error
    if said.code == 70 or "Traceback" in said.err:
        trail = Trail.of(said.err)
        raise Wrong(f"exit code {said.code}, {trail.kind}\n{trail.words}")
    if said.code == 2:
        if not said.err.strip():
            raise Wrong("exit code 2 without a word")
        raise InputError(said.err[-300:])
    if said.code not in (0, 1, 3, 130):
        raise Wrong(f"exit code {said.code}: {said.err[-300:]}")
    return said.out


def folder_of(name: str) -> Callable[[Path], Files]:
    """The run folder of a kind of run, without pictures and page, which are never read."""

    def good(world: Path) -> Files:
        files = files_of(world / "whole" / name)
        return {f"out/{k}": v for k, v in files.items() if not k.endswith((".png", ".html"))}

    return good


def read_run(name: str) -> Callable[[Path, Random], None]:
    """Report on a run folder, or resume it; most pictures are stubs."""

    def read(folder: Path, rng: Random) -> None:
        resumes = rng.random() < 0.5
        with drawing(really=rng.random() < 0.05):
            _ask(KINDS[name].arguments.split() if resumes else ["report", "out"])

    return read


class drawing:  # noqa: N801 - a context manager
    """Draw figures, or quickly write an empty picture for each."""

    def __init__(self, *, really: bool) -> None:
        self.patch = None if really else mock.patch("matplotlib.figure.Figure.savefig", _nothing)

    def __enter__(self) -> None:
        if self.patch:
            self.patch.start()

    def __exit__(self, *error: object) -> None:
        if self.patch:
            self.patch.stop()


def _nothing(figure: Any, file: Any, **options: Any) -> None:
    from PIL import Image

    Image.new("L", (4, 4)).save(file, "png")


def settings_file(world: Path) -> Files:
    from deceive.teaching import PRESETS

    return {"settings.json": PRESETS["resist"].model_dump_json().encode()}


def read_settings(folder: Path, rng: Random) -> None:
    from pydantic import ValidationError

    from deceive.teaching import PRESETS, changed

    try:
        settings = changed(PRESETS["resist"], folder / "settings.json")
    except ValidationError as error:
        raise InputError(str(error)) from error  # commands report it in a sentence
    if settings.rounds < 1 or settings.steps < 1:
        raise Wrong(f"settings {settings}")


def audit_file(world: Path) -> Files:
    return {"audit.json": (world / "whole" / "audit" / "audit.json").read_bytes()}


def read_audit(folder: Path, rng: Random) -> None:
    from deceive.auditing.leaderboard import write_leaderboard

    write_leaderboard([folder / "audit.json"], folder / "table.md")
    content = (folder / "table.md").read_text()
    table = [line for line in content.splitlines() if line.startswith("|")]
    columns = {line.replace("\\|", "").count("|") for line in table}
    if len(table) != 3 or len(columns) != 1:
        raise Wrong(f"a table of {len(table)} lines with {sorted(columns)} bars in each")


COMMANDS = (
    *(kind.arguments.replace("--out out", "--out new") for kind in KINDS.values()),
    "info --json",
    "report out --json",
    "fool --target 5 --out five.png --model fast --start squares --confidence 0.9 --steps 5",
    "rounds --preset resist --settings settings.json --data data --judge judge.safetensors "
    "--out new --fresh",
    "audit net.safetensors --data data --bounds -1 1 --max-gibberish-rate 0.1 --budget 1 --fresh",
    "audit net.safetensors --data data --mean 0.5 --std 0.5 --judge none --other-data data",
    "leaderboard out/audit.json out --out /dev/stdout --json",
    "export net.safetensors --gradient --objective margin --out new.onnx",
    "draw --model draws.safetensors --digit 3 --count 1 --attempts 2 --out drawn.npz --json",
)
"""Valid command lines; `out` is the run folder of an audit."""


def command_files(world: Path) -> Files:
    """The files that the command lines need, besides the shared ones."""
    files = folder_of("audit")(world) | settings_file(world)
    for end in ("safetensors", "json"):
        drew = world / "whole" / "rounds-draw" / "weights" / f"round-000006.{end}"
        files[f"out/weights/{drew.name}"] = files[f"draws.{end}"] = drew.read_bytes()
    return files


def line_of(words: Sequence[str]) -> Files:
    return {"command": "\0".join(words).encode("utf-8", "surrogatepass")}


def is_quick(line: str) -> bool:
    """Whether a command is quick; training commands are tested by kills instead."""
    return (
        line.split()[0] in ("info", "report", "leaderboard", "draw") and "out/weights" not in line
    )


def damage_words(files: Files, rng: Random) -> Files:
    """One of the command lines, with damaged words."""
    words = shlex.split(rng.choice(COMMANDS))
    return files | line_of(mutations.change_arguments(words, rng))


def read_command(folder: Path, rng: Random) -> None:
    line = (folder / "command").read_bytes().decode("utf-8", "surrogatepass")
    words = line.split("\0")
    if words[:1] == ["page"]:  # serves until interrupted
        return
    with drawing(really=False):
        _ask(words)
