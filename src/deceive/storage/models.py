"""Networks on disk: safetensors for the weights, a JSON card beside them for everything else."""

import copy
import hashlib
from pathlib import Path
from typing import Annotated, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from deceive.common import arguments, checks
from deceive.common.errors import InputError, WriteError
from deceive.common.files import (
    check_writable,
    read_bounded,
    read_errors,
    read_json,
    replacing,
    write_text,
)
from deceive.fooling.rules import Ascent
from deceive.networks.building import NETWORKS, network_of
from deceive.networks.classifier import MOST_OUTPUTS
from deceive.networks.guarded import Network

Net = TypeVar("Net", bound=nn.Module)

_PACKAGE = Path(__file__).resolve().parents[1]


# Longest side of an image: our networks can't be built for longer ones.
_Side = Annotated[int, Field(ge=1, le=65_536)]

# Room for a safetensors header: names, shapes and metadata.
_HEADER = 2**20


class Card(BaseModel):
    """What a shipped network is, how good it is, and how to make it again."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: str
    n_outputs: int = Field(ge=2, le=MOST_OUTPUTS)
    image_shape: tuple[_Side, _Side, _Side]
    rubbish_class: int | None = Field(default=None, ge=0)
    """The index of the rubbish class, for a network that has one."""
    seed: int
    settings: dict[str, int | float | str]
    """The `TrainingSettings` or `RoundsSettings` it was trained with."""
    ascent: Ascent | None = None
    """How images climb, for a network with which digits emerge; `draw` does the same."""
    round: int | None = Field(default=None, ge=0)
    """After how many rounds."""
    data_checksum: str
    """`Dataset.checksum` of the images it was trained on."""
    seconds: float = Field(ge=0)
    """Training time."""
    temperature: float = Field(default=1, gt=0)
    """What its logits were divided by after training, to calibrate them."""
    validation_accuracy: float = Field(ge=0, le=1)
    """Share of the images that are read rightly; for a network of the rounds, its rubbish output
    left out."""
    test_accuracy: float = Field(ge=0, le=1)
    command: str
    """Makes this network again."""
    torch: str
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _known(self) -> "Card":
        checks.one_of("architecture", self.architecture, NETWORKS)
        if self.rubbish_class is not None and self.rubbish_class >= self.n_outputs:
            raise ValueError(
                f"expected a rubbish_class below n_outputs, {self.n_outputs}, "
                f"got {self.rubbish_class}"
            )
        return self


def shipped_folder() -> Path:
    """Where the shipped networks lie: inside the installed package, or in the clone."""
    inside = _PACKAGE / "models"
    return inside if inside.is_dir() else _PACKAGE.parents[1] / "models"


def shipped_names(folder: Path | None = None) -> list[str]:
    """Names that `load_network` knows, or of the networks in a folder, in alphabetical order."""
    return sorted(path.stem for path in (folder or shipped_folder()).glob("[!.]*.safetensors"))


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

    `half=True` stores float16; lossless for a network that went through `halved`. The replacement
    is atomic: a process killed on the way leaves the old network or the new one. The new card is
    first written to a hidden file; `load_network` reads it if the card beside the weights doesn't
    match them.

    Raises `WriteError` when either can't be written.
    """
    check_savable(path)
    state = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    weights = save(state)
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
    text = card.model_dump_json(indent=2) + "\n"
    beside = path.with_suffix(".json")
    coming = _coming(beside)
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
    """Raise the `WriteError` that `save_network` would raise, before training."""
    if not path.name:
        raise WriteError(f"{path}: expected a file name, got a folder")
    beside = path.with_suffix(".json")
    for each in (path, beside, _coming(beside)):
        check_writable(each, streams=False)


@arguments.taking(name=arguments.place)
def load_card(name: str | Path) -> Card:
    """The card of a shipped network, or of a safetensors file.

    Raises `InputError` when there is none or it is not one.
    """
    return _read(_locate(name))[0]


@arguments.taking(name=arguments.place)
def load_network(name: str | Path) -> Network:
    """A trained classifier, in evaluation mode, on the CPU.

    Args:
        name: a shipped one (`shipped_names()`), or the path of a safetensors file with its card
            beside it, as `save_network` and `deceive train` write them.

    Raises:
        InputError: when there is no such network, when the file or its card is damaged, or when
            it is of another kind. Nothing in the file is ever executed.
    """
    card, weights = _read(_locate(name))
    network = network_of(card.architecture, card.n_outputs, card.image_shape)
    network.load_state_dict(weights)
    return network.eval()


def _locate(name: str | Path) -> Path:
    if str(name) in shipped_names():
        return shipped_folder() / f"{name}.safetensors"
    path = Path(name)
    with read_errors(path):
        there = path.is_file()
    if not there:
        raise InputError(
            f"model: expected a shipped network ({', '.join(shipped_names())}) or the path of a "
            f"safetensors file, got {str(name)!r}"
        )
    if path.suffix.lower() != ".safetensors":
        raise InputError(
            f"{path}: expected a .safetensors file; pickled weights (.pt, .pth, .bin) can run code "
            "when they are read, and are not opened"
        )
    return path


def _coming(card_path: Path) -> Path:
    """The hidden file that holds a card while its weights are written."""
    return card_path.with_name(f".{card_path.name}")


def _read(path: Path) -> tuple[Card, dict[str, Tensor]]:
    """Read a card and the weights it describes, and no more than it describes.

    The card is beside them, or still in the hidden file if `save_network` was killed.
    """
    beside = path.with_suffix(".json")
    with read_errors(beside):
        places = [each for each in (beside, _coming(beside)) if each.is_file()] or [beside]
    cards = [_read_card(place, path) for place in places]
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


def _read_card(card_path: Path, path: Path) -> Card:
    said = f"the card of {path.name} beside it"
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
