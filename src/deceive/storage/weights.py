"""Read a network's weights and card from files that may be damaged or malicious."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from deceive.common import checks
from deceive.common.errors import InputError
from deceive.common.files import read_bounded, read_errors, read_json
from deceive.networks.building import network_of
from deceive.storage.card import Card

# Room for a safetensors header: names, shapes and metadata.
_HEADER = 2**20


def hidden_card(card_path: Path) -> Path:
    """The hidden file that holds a card while its weights are written."""
    return card_path.with_name(f".{card_path.name}")


def networks_in(folder: Path) -> list[str]:
    """The weights with a card in a folder, or in the `weights` of a run folder; the last first.

    >>> networks_in(Path("no/such/folder"))
    []
    """
    inside = (folder / part for part in (".", "weights"))
    found = [path for each in inside for path in sorted(each.glob("*.safetensors"), reverse=True)]
    return [str(path.relative_to(folder)) for path in found if path.with_suffix(".json").is_file()]


def got_folder(name: str | Path, files: Sequence[str]) -> InputError:
    """The error for a folder where a file was expected; `files` are the models in it."""
    inside = (
        f"name a file in it ({checks.few(files)})" if files else "it holds no file of a known model"
    )
    return InputError(f"model: expected a file, got the folder {name}; {inside}")


def read_weights(path: Path) -> tuple[Card, dict[str, Tensor]]:
    """Read a card and exactly the weights that it describes.

    The card is beside them, or still in the hidden file if `save_network` was killed.
    """
    beside = path.with_suffix(".json")
    with read_errors(beside):
        places = [each for each in (beside, hidden_card(beside)) if each.is_file()] or [beside]
    cards = [read_card(place, path.name) for place in places]
    described = [_described(*pair) for pair in zip(cards, places, strict=True)]
    rooms = [sum(tensor.nbytes for tensor in each.values()) for each in described]
    said = f"the weights of a {cards[0].architecture!r} network, as in its card"
    content = read_bounded(path, max(rooms) + _HEADER, said)
    found = hashlib.sha256(content).hexdigest()
    for card, expected in zip(cards, described, strict=True):
        if card.weights_sha256 == found:
            return card, _parsed(content, expected, path, card.architecture)
    raise InputError(
        f"{path}: expected the weights with the card's SHA-256 {cards[0].weights_sha256[:12]}…, "
        f"got {found[:12]}…; the file is damaged, or the card belongs to another file"
    )


def read_card(card_path: Path, of: str | None = None) -> Card:
    """A card; `of` is the name of its weights, for an error's sentence."""
    said = f"the card of {of} beside it" if of else "the card of a network"
    return checks.fits(Card, read_json(card_path, said), str(card_path), said)


def _described(card: Card, path: Path) -> dict[str, Tensor]:
    """The parameters and buffers of the network that a card describes, on the meta device."""
    try:
        with torch.device("meta"):
            network = network_of(card.architecture, card.n_outputs, card.image_shape)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    state: dict[str, Tensor] = network.state_dict()
    return state


def _parsed(
    content: bytes, expected: dict[str, Tensor], path: Path, architecture: str
) -> dict[str, Tensor]:
    """The tensors of a safetensors file, with the expected names, shapes and types, all finite.

    Half precision is accepted for floats.
    """
    try:
        weights = load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{path}: expected safetensors; {error}") from error
    weights = _renamed(weights)
    sentence = f"{path}: expected the weights of a {architecture!r} network, as in its card"
    for name in sorted(weights.keys() | expected.keys()):
        wanted, came = (_in_words(each.get(name)) for each in (expected, weights))
        if wanted.replace("float32", "float16") != came.replace("float32", "float16"):
            raise InputError(f"{sentence}; {name!r} should be {wanted}, is {came}")
        if not weights[name].isfinite().all():
            raise InputError(f"{sentence}; {name!r} contains NaN or infinity")
    return weights


def _renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under today's names: files once had a guard's beside its readers'."""
    if "doubt" not in weights or any(name.startswith("guard.") for name in weights):
        return weights
    return {
        name if name == "doubt" or name.startswith("readers.") else f"guard.{name}": tensor
        for name, tensor in weights.items()
    }


def _in_words(tensor: Tensor | None) -> str:
    if tensor is None:
        return "absent"
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
