"""The networks of the page: their graphs, and the manifest that lists them."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from deceive.common.files import replacing, write_text
from deceive.fooling.ascent import Ascent
from deceive.fooling.fool import fool
from deceive.fooling.ledger import SLACK
from deceive.fooling.rules import GROWING, PATIENCE
from deceive.storage.export import exported
from deceive.storage.models import load_card, load_network, shipped_names
from deceive.storage.templates import Templates
from deceive.webpage.built import checksum, read_own
from deceive.webpage.guarded import guarded

_PACKAGE = Path(__file__).resolve().parents[1]
# The code that decides what an exported network looks like.
_EXPORTERS = (
    "networks/*.py",
    "fooling/objectives.py",
    "storage/backward.py",
    "storage/export.py",
    "storage/templates.py",
    "storage/tracing.py",
)


def manifest(models: Path) -> dict[str, Any]:
    """What the page is told of the networks in a folder and of `fool`, from cards and defaults.

    Each network comes with its ascent, which is the card's, or else `fool`'s own. `rounds` names
    the networks of panel 3 in order: those with which digits emerge, one a round, where such are
    shipped; else all there are, the least accurate first, with no round.
    """
    cards = {name: load_card(models / f"{name}.safetensors") for name in shipped_names(models)}
    # A detector reads no classes.
    cards = {name: card for name, card in cards.items() if card.architecture != "detector"}
    networks = {}
    for name, card in cards.items():
        networks[name] = {
            "name": name,
            "file": f"{name}.onnx",
            "architecture": card.architecture,
            "outputs": card.n_outputs,
            "rubbishClass": card.rubbish_class,
            "imageShape": list(card.image_shape),
            "testAccuracy": card.test_accuracy,
            "validationAccuracy": card.validation_accuracy,
            "round": card.round,
            "ascent": _in_camel_case((card.ascent or Ascent()).model_dump()),
            "command": card.command,
            "weights": card.weights_sha256,
        }
    emerging = {name: card for name, card in cards.items() if card.ascent is not None}
    rounds = {card.round: name for name, card in emerging.items() if card.round is not None}
    judge = "judge" if "judge" in cards else None
    by_accuracy = sorted(cards, key=lambda name: cards[name].test_accuracy)
    plain = [name for name in by_accuracy if cards[name].round is None and name != judge]
    rule = {name: one.default for name, one in inspect.signature(fool).parameters.items()}
    return {
        "networks": networks,
        "default": plain[-1],
        "judge": judge,
        "rounds": [{"network": rounds[number], "round": number} for number in sorted(rounds)]
        if len(rounds) > 1
        else [{"network": name, "round": None} for name in by_accuracy],
        "rule": {
            "confidence": rule["confidence"],
            "steps": rule["steps"],
            "patience": PATIENCE,
            "growing": GROWING,
            "slack": SLACK,
        },
    }


def _in_camel_case(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        to_camel(key): _in_camel_case(value) if isinstance(value, dict) else value
        for key, value in settings.items()
    }


def write_networks(
    models: Path, folder: Path, notebooks: dict[str, str], report: Callable[[str], None]
) -> None:
    """Export the networks that are new, and write the manifest; drop what is gone.

    `notebooks` are the titles of the pages that the manifest lists too.
    """
    described, templates = manifest(models), Templates()
    exporter = checksum(path for files in _EXPORTERS for path in _PACKAGE.glob(files))
    old = folder / "manifest.json"
    before_that = read_own(old)
    known = before_that.get("networks")
    for name, entry in described["networks"].items():
        path = folder / entry["file"]
        entry["exporter"] = exporter
        before = known.get(name) if isinstance(known, dict) else None
        fresh = isinstance(before, dict) and all(
            before.get(key) == entry[key] for key in ("weights", "exporter")
        )
        if not (fresh and path.is_file()):
            report(f"exporting {name}")
            network = load_network(models / f"{name}.safetensors")
            with replacing(path) as temporary:
                temporary.write_bytes(exported(network, templates=templates))
        entry["bytes"] = path.stat().st_size
    files = {entry["file"] for entry in described["networks"].values()}
    for path in folder.glob("*.onnx"):
        if path.name not in files:
            path.unlink()
    described["guarded"] = guarded(models, described, before_that.get("guarded"), report)
    described["notebooks"] = notebooks
    write_text(old, json.dumps(described, indent=1) + "\n")
