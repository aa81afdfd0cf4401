"""Networks on disk: safetensors for the weights, a JSON card beside them for everything else."""

import copy
import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from deceive.errors import InputError
from deceive.files import check_writable, read_json, replacing, write_text
from deceive.networks import Classifier
from deceive.rules import Ascent

_HERE = Path(__file__).resolve().parent


class Card(BaseModel):
    """What a shipped network is, how good it is, and how to make it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str
    n_outputs: int = Field(ge=2)
    image_shape: tuple[int, int, int]
    rubbish_class: int | None = None
    """The index of the rubbish class, for a network that has one."""
    seed: int
    settings: dict[str, int | float | str]
    """The `TrainingSettings` or `RoundsSettings` it was trained with."""
    ascent: Ascent | None = None
    """How images climb, for a network with which digits emerge; `draw` does the same."""
    round: int | None = None
    """After how many rounds."""
    data_checksum: str
    """`Dataset.checksum` of the images it was trained on."""
    seconds: float
    """Training time."""
    temperature: float = Field(default=1, gt=0)
    """What its logits were divided by after training, to calibrate them."""
    validation_accuracy: float
    """Share of the images that are read rightly; for a network of the rounds, its rubbish output
    left out."""
    test_accuracy: float
    command: str
    """Makes this network again."""
    torch: str
    weights_sha256: str = ""


def shipped_folder() -> Path:
    """Where the shipped networks lie: inside the installed package, or in the clone."""
    inside = _HERE / "models"
    return inside if inside.is_dir() else _HERE.parents[1] / "models"


def shipped_names() -> list[str]:
    """Names that `load_network` knows, in alphabetical order."""
    return sorted(path.stem for path in shipped_folder().glob("[!.]*.safetensors"))


def halved(network: Classifier) -> Classifier:
    """A copy in evaluation mode whose weights are what half precision holds of them."""
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    return copied.half().float()


def save_network(network: Classifier, path: Path, card: Card, *, half: bool = False) -> None:
    """Write the weights to `path` (`.safetensors`) and the card beside them (`.json`).

    With `half` they take half the room, and lose nothing where the network is `halved`. What was
    there is replaced in one go: a process that is killed on the way leaves the old network or the
    new one. The new card is written to a hidden file first, in which `load_network` looks where the
    card beside the weights is of others.

    Raises `WriteError` where either cannot be written.
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
    """Raise the `WriteError` that `save_network` would, before a network is trained."""
    beside = path.with_suffix(".json")
    for each in (path, beside, _coming(beside)):
        check_writable(each, streams=False)


def load_card(name: str | Path) -> Card:
    """The card of a shipped network, or of a safetensors file.

    Raises `InputError` when there is none or it is not one.
    """
    return _read(_locate(name))[0]


def load_network(name: str | Path) -> Classifier:
    """A trained classifier, in evaluation mode, on the CPU.

    Args:
        name: a shipped one (`shipped_names()`), or the path of a safetensors file with its card
            beside it, as `save_network` and `deceive train` write them.

    Raises:
        InputError: when there is no such network, when the file or its card is damaged, or when
            it is of another kind. Nothing in the file is ever executed.
    """
    path = _locate(name)
    card, weights = _read(path)
    network = Classifier(card.architecture, card.n_outputs, card.image_shape)
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    came = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    if came != expected:
        key = min(set(expected.items()) ^ set(came.items()))[0]
        raise InputError(
            f"{path}: expected the weights of a {card.architecture!r} network as its card says; "
            f"{key!r} should be {expected.get(key, 'absent')}, is {came.get(key, 'absent')}"
        )
    network.load_state_dict(weights)
    return network.eval()


def _locate(name: str | Path) -> Path:
    if str(name) in shipped_names():
        return shipped_folder() / f"{name}.safetensors"
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"model: expected a shipped network ({', '.join(shipped_names())}) or the path of a "
            f"safetensors file, got {str(name)!r}"
        )
    if path.suffix != ".safetensors":
        raise InputError(
            f"{path}: expected a .safetensors file; pickled weights (.pt, .pth, .bin) can run code "
            "when they are read, and are not opened"
        )
    return path


def _coming(card_path: Path) -> Path:
    """Where a card is while its weights are written."""
    return card_path.with_name(f".{card_path.name}")


def _read(path: Path) -> tuple[Card, dict[str, Tensor]]:
    content = path.read_bytes()
    card = _fitting_card(path, hashlib.sha256(content).hexdigest())
    try:
        return card, load(content)
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path}: expected safetensors; {error}") from error


def _fitting_card(path: Path, found: str) -> Card:
    """The card of the weights at `path`, whose SHA-256 is `found`.

    It is beside them, or still where `save_network` left it when it was killed.
    """
    beside = path.with_suffix(".json")
    coming = _coming(beside)
    card = _read_card(beside if beside.exists() or not coming.is_file() else coming, path)
    if card.weights_sha256 != found and coming.is_file():
        card = _read_card(coming, path)
    if card.weights_sha256 != found:
        raise InputError(
            f"{path}: expected the weights of its card (SHA-256 {card.weights_sha256[:12]}…), "
            f"got others ({found[:12]}…); the file is damaged or the card belongs to another"
        )
    return card


def _read_card(card_path: Path, path: Path) -> Card:
    content = read_json(card_path, f"the card of {path.name} beside it")
    try:
        return Card.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{card_path}: expected the card of {path.name} beside it; {where}: {first['msg']}"
        ) from error
