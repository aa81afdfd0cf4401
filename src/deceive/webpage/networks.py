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
from deceive.networks.architectures import DETECTOR
from deceive.networks.classifier import Classifier
from deceive.storage.card import Card
from deceive.storage.export import exported
from deceive.storage.models import load_network
from deceive.storage.shipped import shipped_names
from deceive.storage.templates import Templates
from deceive.webpage.asked import asked_card, asked_network
from deceive.webpage.built import checksum, read_own
from deceive.webpage.guarded import guarded
from deceive.webpage.light import light_copy
from deceive.webpage.menu import in_words, menu, verdict
from deceive.webpage.recorded import recorded

_PACKAGE = Path(__file__).resolve().parents[1]
# The code that decides what an exported network looks like.
_EXPORTERS = (
    "networks/*.py",
    "fooling/objectives.py",
    "storage/backward.py",
    "storage/export.py",
    "storage/templates.py",
    "storage/tracing.py",
    "webpage/asked.py",
)


def manifest(models: Path) -> dict[str, Any]:
    """What the page is told about a folder's networks and `fool`, from cards and defaults.

    Each network comes with its ascent, which is the card's, or else `fool`'s own. `rounds` names
    the networks of panel 3 in order: those with which digits emerge, one a round, where such are
    shipped; else all there are, the least accurate first, with no round.
    """
    cards = {name: asked_card(models, name) for name in shipped_names(models)}
    # A detector reads no classes.
    cards = {name: card for name, card in cards.items() if card.architecture != DETECTOR}
    # One network may be shipped under two names; the later name stays.
    last = {card.weights_sha256: name for name, card in cards.items()}
    cards = {name: card for name, card in cards.items() if last[card.weights_sha256] == name}
    networks = {name: _entry(name, card) for name, card in cards.items()}
    emerging = {name: card for name, card in cards.items() if card.ascent is not None}
    rounds = {card.round: name for name, card in emerging.items() if card.round is not None}
    judge = "judge" if "judge" in cards else None
    by_accuracy = sorted(cards, key=lambda name: cards[name].test_accuracy)
    plain = [name for name in by_accuracy if cards[name].round is None and name != judge]
    rule = {name: one.default for name, one in inspect.signature(fool).parameters.items()}
    for name, (group, words) in in_words(cards, judge).items():
        networks[name] |= {"group": group, "words": words}
    return {
        "networks": networks,
        "default": plain[-1],
        "judge": judge,
        "menu": menu(plain[-1], [rounds[number] for number in sorted(rounds)], list(cards)),
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


def _entry(name: str, card: Card) -> dict[str, Any]:
    """What the page is told of one network."""
    return {
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
            network = asked_network(models, name)
            with replacing(path) as temporary:
                temporary.write_bytes(exported(network, templates=templates))
        entry["bytes"] = path.stat().st_size
    _write_light(models, folder, described)
    files = {entry["file"] for entry in described["networks"].values()}
    for path in folder.glob("*.onnx"):
        if path.name not in files:
            path.unlink()
    described["guarded"] = guarded(models, described, before_that.get("guarded"), report)
    before_it = before_that.get("recorded")
    described["recorded"] = recorded(models, folder, described, before_it, report)
    for row in described["recorded"]["previews"]:
        entry = described["networks"][row["network"]]
        if entry["round"] is not None and "judged" in row:
            entry["words"] += verdict(row["judged"])
    described["notebooks"], described["notebooksAt"] = notebooks, "notebooks/"
    write_text(old, json.dumps(described, indent=1) + "\n")


def _write_light(models: Path, folder: Path, described: dict[str, Any]) -> None:
    """Write the light copy of the default network, with which the page begins."""
    entry = described["networks"][described["default"]]
    network = load_network(models / f"{entry['name']}.safetensors")
    light = light_copy(network) if isinstance(network, Classifier) else None
    if light is None:
        return
    path = folder / "first.light"
    with replacing(path) as temporary:
        temporary.write_bytes(light[0])
    entry["light"] = {"file": path.name, "bytes": len(light[0]), **light[1]}
