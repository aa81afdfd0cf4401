"""Networks on disk: safetensors for the weights, a JSON card beside them for everything else."""

import copy
import hashlib
from pathlib import Path
from typing import TypeVar

from safetensors.torch import save
from torch import nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError, WriteError
from deceive.common.files import (
    check_writable,
    read_errors,
    read_json,
    replacing,
    write_text,
)
from deceive.networks.building import network_of
from deceive.networks.guarded import Network
from deceive.storage.card import Card
from deceive.storage.shipped import (
    shipped_card,
    shipped_in_words,
    shipped_names,
    shipped_weights,
)
from deceive.storage.weights import (
    got_folder,
    hidden_card,
    networks_in,
    read_card,
    read_weights,
)

Net = TypeVar("Net", bound=nn.Module)

_PICKLED = (".pt", ".pth", ".bin", ".pkl", ".ckpt")


def halved(network: Net) -> Net:
    """A copy in evaluation mode whose weights are what half precision holds of them."""
    copied: Net = copy.deepcopy(network).eval().requires_grad_(False)
    return copied.half().float()


@arguments.taking(
    network=arguments.module,
    path=arguments.of("a pathlib.Path", Path),
    card=arguments.of("a Card", Card),
    half=arguments.flag,
)
def save_network(network: Network, path: Path, card: Card, *, half: bool = False) -> None:
    """Write the weights to `path` (`.safetensors`) and the card beside them (`.json`).

    The replacement is atomic: a process killed on the way leaves the old network or the new one.
    The new card is first written to a hidden file; `load_network` reads it if the card beside the
    weights doesn't match them.

        >>> import tempfile
        >>> from pathlib import Path
        >>> from deceive import load_card, load_network, save_network
        >>> path = Path(tempfile.mkdtemp(), "mine.safetensors")
        >>> save_network(load_network("judge"), path, load_card("judge"))
        >>> load_network(path).architecture
        'judge'

    Args:
        network: one that `network_of` builds.
        path: a `.safetensors` file; replaced if there is one.
        card: the card; the digest of the weights is added.
        half: store float16; lossless for a network that went through `halved`.

    Raises:
        WriteError: when either file can't be written.
    """
    check_savable(path)
    state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    weights = save(state)
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    text = card.model_dump_json(indent=2) + "\n"
    beside = path.with_suffix(".json")
    coming = hidden_card(beside)
    write_text(coming, text)
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(weights)
    except BaseException:
        coming.unlink(missing_ok=True)  # the old network stays
        raise
    write_text(beside, text)
    coming.unlink(missing_ok=True)


def check_savable(path: Path) -> None:
    """Raise the `WriteError` that `save_network` would raise, before training.

    It refuses a path whose card would replace a file that isn't one.
    """
    if not path.name:
        raise WriteError(f"{path}: expected a file name, got a folder")
    beside = path.with_suffix(".json")
    for each in (path, beside, hidden_card(beside)):
        check_writable(each, streams=False)
    if beside.is_file() and not _is_card(beside):
        raise WriteError(
            f"{beside}: expected no file, or the card of a network to replace, got another file; "
            "choose another name"
        )


def _is_card(path: Path) -> bool:
    """Whether a file is a card, also a damaged one or one of another version."""
    try:
        return "weights_sha256" in read_json(path, "the card of a network")
    except InputError:
        return False


@arguments.taking(name=arguments.place)
def load_card(name: str | Path) -> Card:
    """The card of a shipped network, or of a safetensors file: how it was made, and how good it is.

        >>> from deceive import load_card
        >>> card = load_card("fast")
        >>> card.architecture, card.image_shape, card.command
        ('fast', (1, 28, 28), 'deceive train --architecture fast --seed 0')

    Args:
        name: as in `load_network`. Of a shipped network, nothing is downloaded.

    Returns:
        A pydantic model with the fields of the JSON file.

    Raises:
        InputError: when there is none, or the file isn't a card.
    """
    if str(name) in shipped_names():
        card = shipped_card(str(name))
        if not card.with_suffix(".safetensors").is_file():
            return read_card(card)  # needs no download
    return read_weights(_locate(name))[0]


@arguments.taking(name=arguments.place)
def load_network(name: str | Path) -> Network:
    """A trained classifier, in evaluation mode, on the CPU.

        >>> from deceive import load_network
        >>> network = load_network("judge")
        >>> network.image_shape, network.n_outputs
        ((1, 28, 28), 10)

    Args:
        name: a shipped one (`shipped_names()`), or the path of a safetensors file with its card
            beside it, as `save_network` and `deceive train` write them. Of the shipped ones, an
            installed package downloads some when they are first asked for (`shipped_weights`).

    Raises:
        InputError: when there is no such network or it can't be downloaded, when the file or its
            card is damaged, or when it is of another kind. Nothing in the file is ever executed.
    """
    card, weights = read_weights(_locate(name))
    network = network_of(card.architecture, card.n_outputs, card.image_shape)
    network.load_state_dict(weights)
    return network.eval()


def _locate(name: str | Path) -> Path:
    if str(name) in shipped_names():
        return shipped_weights(str(name))
    path = Path(name)
    with read_errors(path):
        there = path.is_file()
        inside = networks_in(path)
    if inside:
        raise got_folder(name, inside)
    if not there:
        raise InputError(
            f"model: expected a shipped network ({shipped_in_words()}) or the path of a "
            f"safetensors file, got {str(name)!r}{checks.meant(str(name), shipped_names())}"
        )
    if path.suffix.lower() in _PICKLED:
        raise InputError(
            f"{path}: expected a .safetensors file, got pickled weights, which can run code when "
            "they are read and are not opened"
        )
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"{path}: expected a .safetensors file, got another")
    return path
