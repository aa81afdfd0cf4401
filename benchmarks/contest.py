"""What every contest shares: the machine's facts, and the files of rows."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from deceive.common.files import write_text
from deceive.networks.precision import working_dtype

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
ART = "adversarial-robustness-toolbox"
_PEERS = ("foolbox", "torchattacks", "captum", ART)


def facts() -> Row:
    """The machine and the versions that a contest ran on."""
    versions = {}
    for name in ("deceive", "torch", "numpy", *_PEERS):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average_at_start": round(os.getloadavg()[0], 2),
        "working_dtype": str(working_dtype(torch.device("cpu"))).removeprefix("torch."),
        "python": platform.python_version(),
        "versions": versions,
    }


def in_words(facts: Row, libraries: Sequence[str] = ()) -> str:
    """One line on when, where and with which versions of these libraries it was measured."""
    versions = facts["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in ("torch", *libraries))
    return (
        f"{facts['date']}; {facts['processor']}, {facts['cores']} cores, {facts['threads']} "
        f"threads, load {facts['load_average_at_start']} at the start; `deceive` works in "
        f"{facts['working_dtype']}; {named}."
    )


def write(out: Path, name: str, result: Row) -> None:
    """Write one contest's result as `out/name.json`, whole or not at all."""
    write_text(out / f"{name}.json", json.dumps(result, indent=1) + "\n")


def read(out: Path, name: str) -> Row | None:
    """A contest's result, or None when it has not been run."""
    path = out / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
