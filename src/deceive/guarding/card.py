"""`guarded.json`: what a guarded classifier is made of, and what it was set to."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deceive.auditing.models.interface import Interface
from deceive.common import checks
from deceive.common.checks import Share
from deceive.common.files import read_json, write_text
from deceive.data.preparation import Preparation
from deceive.guarding.settings import GuardSettings

NAME = "guarded.json"
"""The file's name."""

VERSION: Literal[1] = 1

_Side = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class ReaderCard(_Part):
    """The classifier behind the guard."""

    spec: str | None
    """Where it is: what was given as MODEL. None for an object, which has to be given again."""
    name: str
    """What reports call it."""
    format: str
    """The kind of model: PyTorch, ONNX, Keras and so on."""
    white_box: bool
    """Whether a gradient passes through it."""
    interface: Interface
    """How it takes images, and which outputs are read."""
    prepared: str
    """How pictures become its images, in words."""
    trust: bool
    """Whether its file may run code when it is opened."""
    digests: dict[str, str]
    """SHA-256 of each of its files, by name."""


class GuardCard(_Part):
    """The guard."""

    source: str
    """A shipped network, or where it is kept."""
    architecture: str
    """How its network is built."""
    seconds: float = Field(ge=0)
    """Training time."""
    rounds: int | None = Field(default=None, ge=0)
    """In which it was trained; null where that isn't known."""
    images: int | None = Field(default=None, ge=1)
    """How many training images the data has; null where that isn't known."""
    certified: bool = False
    """Whether a detector with provable bounds stands beside it."""


class Set(_Part):
    """What was set on validation images."""

    images: int = Field(ge=1)
    """How many of them."""
    power: float = Field(gt=0)
    """What the classifier's logits are multiplied by."""
    guard_doubt: float = Field(ge=0, le=1)
    """How often the guard's choice of a class is taken to be a guess."""
    expected: float
    """What was added to the guard's rubbish logit."""
    threshold: float = Field(gt=0, lt=1)
    """The confidence at which an image passes."""
    kept: Share
    """Share of these images that pass."""
    reader_accuracy: Share
    """Of the classifier."""
    accuracy: Share
    """Of the guarded network, rubbish left out."""
    passing_accuracy: Share
    """Of the guarded network, on those that pass."""


class GuardedCard(_Part):
    """A guarded classifier: the content of `guarded.json`.

    >>> from dataclasses import replace
    >>> import deceive
    >>> digits = deceive.load_data()
    >>> some = deceive.Split(digits.validation.images[:200], digits.validation.labels[:200])
    >>> less = replace(digits, validation=some)
    >>> card = deceive.guard("study", less, out="mine", auditing=None, onnx=False).card
    >>> card.image_shape, card.reader.name, card.guard.certified
    ((1, 28, 28), 'study', False)
    """

    version: Literal[1] = VERSION
    """Of this schema."""
    deceive: str
    """Version of the package that wrote it."""
    data: str
    """Name of the data's folder."""
    data_checksum: str
    """`Dataset.checksum` of the images that it was fitted on."""
    class_names: list[str] = Field(min_length=2)
    """A name for each class, in their order."""
    image_shape: tuple[_Side, _Side, _Side]
    """(C, H, W) of the images, in [0, 1]."""
    preparation: Preparation
    """How pictures become such images."""
    reader: ReaderCard
    """The classifier."""
    guard: GuardCard
    """The guard in front of it."""
    settings: GuardSettings
    """What was asked for."""
    set: Set
    """What was found on validation images."""
    notes: list[str]
    """What was learnt about the classifier and the data, in sentences."""


def read_card(folder: Path) -> GuardedCard:
    """The card in a folder. Raises `InputError` when there is none, or it is damaged."""
    path = folder / NAME
    return checks.fits(
        GuardedCard,
        read_json(path, f"{NAME} of a guarded classifier"),
        str(path),
        "a guarded classifier",
    )


def write_card(card: GuardedCard, folder: Path) -> None:
    """Write the card into a folder."""
    write_text(folder / NAME, card.model_dump_json(indent=2) + "\n")
