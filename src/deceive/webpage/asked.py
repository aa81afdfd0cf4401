"""What the page asks of a shipped network: `one` is deceived plainly, and not asked in noise."""

from pathlib import Path

from deceive.networks.coarse_to_fine import CoarseToFine
from deceive.networks.guarded import Network
from deceive.storage.card import Card
from deceive.storage.models import load_card, load_network


def asked_card(models: Path, name: str) -> Card:
    """The card of a network in a folder; that of `one` without the schedule it draws along."""
    card = load_card(models / f"{name}.safetensors")
    if card.architecture == CoarseToFine.architecture:
        return card.model_copy(update={"ascent": None})
    return card


def asked_network(models: Path, name: str) -> Network:
    """A network in a folder; `one` without the part that draws, which halves its file."""
    network = load_network(models / f"{name}.safetensors")
    return network.without_drawing() if isinstance(network, CoarseToFine) else network
