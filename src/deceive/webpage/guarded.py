"""The guarded network of the page: which two it is put together from, and what it is set to."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deceive.guarding import guard
from deceive.guarding.guards import SHIPPED
from deceive.storage.kinds import Row
from deceive.webpage.built import checksum

_GUARDING = Path(__file__).resolve().parents[1] / "guarding"


def guarded(
    models: Path, described: Row, known: Any, report: Callable[[str], None]
) -> dict[str, Any] | None:
    """The page's default network behind the shipped guard; None where there is no such guard.

    The page has both networks already, and puts their answers together by these numbers.

    Args:
        models: the folder of the networks.
        described: the manifest, with the networks' weights.
        known: the same of an earlier build, or anything else; it is used if it is up to date.
        report: is told when the guard is fitted, which takes some seconds.
    """
    networks, reader = described["networks"], described["default"]
    if SHIPPED not in networks or reader == SHIPPED:
        return None
    parts = [networks[SHIPPED]["weights"], networks[reader]["weights"]]
    made_of = [*parts, checksum(_GUARDING.glob("*.py"))]
    if isinstance(known, dict) and known.get("madeOf") == made_of:
        return known
    report(f"fitting the guard to {reader}")
    paths = {name: str(models / f"{name}.safetensors") for name in (reader, SHIPPED)}
    with tempfile.TemporaryDirectory() as folder:
        out, use = Path(folder) / "out", paths[SHIPPED]
        card = guard(paths[reader], out=out, use=use, auditing=None, onnx=False).card
    return {
        "guard": SHIPPED,
        "reader": reader,
        "power": card.set.power,
        "doubt": card.settings.doubt,
        "guardDoubt": card.set.guard_doubt,
        "expected": card.set.expected,
        "threshold": card.set.threshold,
        "images": card.set.images,
        "kept": card.set.kept,
        "accuracy": card.set.accuracy,
        "readerAccuracy": card.set.reader_accuracy,
        "madeOf": made_of,
    }
