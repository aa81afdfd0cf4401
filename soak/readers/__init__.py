"""Every reader: how to make a good input, damage it, and read it.

A reader may accept a damaged input, if its result is valid, or refuse it with an `InputError` (on
the command line: exit code 2 and a sentence). Anything else is a failure.
"""

import random
import shlex
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from deceive.common.errors import InputError
from soak.readers.calls import CALLS, call_of, damage_call, read_call
from soak.readers.commands import (
    COMMANDS,
    audit_file,
    command_files,
    damage_words,
    folder_of,
    is_quick,
    line_of,
    read_audit,
    read_command,
    read_run,
    read_settings,
    settings_file,
)
from soak.readers.data import (
    cifar_files,
    class_folders,
    csv_file,
    damage_network,
    damage_onnx,
    network_files,
    npy_files,
    npz_file,
    onnx_file,
    parquet_files,
    read_data,
    read_laid,
    read_network,
    read_onnx,
)
from soak.readers.reader import Files, Reader, Wrong, damage_files, plain
from soak.world import beside, files_of_data

RUN_FOLDERS = ("study", "rounds-draw", "rounds-resist", "rounds-study", "audit")

READERS: dict[str, Reader] = {
    "idx": plain(lambda world: files_of_data(), read_data),
    "idx-gz": plain(lambda world: files_of_data(gzipped=True), read_data),
    "class-folders": plain(class_folders, read_laid),
    "npz": plain(npz_file, read_laid),
    "npy": plain(npy_files, read_laid),
    "csv": plain(csv_file, read_laid),
    "cifar": plain(cifar_files, read_laid),
    **({"parquet": plain(parquet_files, read_laid)} if find_spec("pyarrow") else {}),
    "network": Reader(network_files, read_network, damage_network),
    "onnx": Reader(onnx_file, read_onnx, damage_onnx),
    "settings": plain(settings_file, read_settings),
    "audit-json": plain(audit_file, read_audit),
    "commands": Reader(
        command_files,
        read_command,
        damage_words,
        lambda good: [good | line_of(shlex.split(each)) for each in COMMANDS if is_quick(each)],
        slow=True,
    ),
    "calls": Reader(
        lambda world: {},
        read_call,
        damage_call,
        lambda good: [call_of(name, arguments) for name, arguments in CALLS.items()],
    ),
    **{
        f"folder-{name}": Reader(folder_of(name), read_run(name), damage_files, slow=True)
        for name in RUN_FOLDERS
    },
}
"""By name."""


def damaged(name: str, number: int, seed: int, good: Files) -> Files:
    """The damaged input with this number; the first ones are undamaged."""
    whole = READERS[name].whole(good)
    if number < len(whole):
        return whole[number]
    return READERS[name].damage(good, random.Random(f"{seed}:{name}:{number}"))


def lay(files: Files, world: Path, folder: Path) -> None:
    """Write an input into a new folder, with links to the shared files."""
    beside(world, folder)
    for name, content in files.items():
        path = folder / name
        if path.is_symlink():
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read(name: str, folder: Path, number: int, seed: int) -> str:
    """Read the input in the working folder: `accepted` or `refused`; raises on failure."""
    try:
        READERS[name].read(folder, random.Random(f"{seed}:{name}:{number}:read"))
    except InputError as error:
        if number < len(READERS[name].whole({})):
            raise Wrong(f"a good input is refused: {error}") from error
        if not str(error).strip():
            raise Wrong("an InputError without a word") from error
        return "refused"
    return "accepted"


def needed(names: Sequence[str]) -> list[str]:
    """The kinds of runs that these readers need."""
    wanted = [name.removeprefix("folder-") for name in names if name.startswith("folder-")]
    wanted += ["audit"] * ("audit-json" in names)
    return wanted + ["audit", "rounds-draw"] * ("commands" in names)
