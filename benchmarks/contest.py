"""What every contest shares: the machine's facts, ratios with their spread, files."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch

from deceive.common.files import write_text
from deceive.networks.precision import working_dtype

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = dict[str, Any]
APlan = TypeVar("APlan", bound="DataclassInstance")

HERE = Path(__file__).resolve().parent
_PEERS = ("foolbox", "torchattacks", "captum", "adversarial-robustness-toolbox")


class Spread(NamedTuple):
    """The median of several measurements, and how far they lie apart."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of at least one value."""
        listed = list(values)
        return cls(statistics.median(listed), min(listed), max(listed))

    def text(self, digits: int = 3) -> str:
        """Such as `8.1 (7.9–8.4)`, each to `digits` significant ones."""
        return (
            f"{significant(self.median, digits)} "
            f"({significant(self.least, digits)}–{significant(self.greatest, digits)})"
        )


def significant(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent; whole ones are kept whole."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 10 ** (digits - 1) else f"{rounded:g}"


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Ratios of measurements that stood side by side, repeat for repeat."""
    return Spread.of(a / b for a, b in zip(over, under, strict=True))


def planned(usual: APlan, **asked: Any) -> APlan:
    """A contest's plan with what was asked for, where that is not None, in place of its own."""
    return replace(usual, **{name: value for name, value in asked.items() if value is not None})


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
