"""The JSON card beside a network's weights."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deceive.common import checks
from deceive.fooling.ascent import Ascent
from deceive.fooling.starts import STARTS
from deceive.networks.building import NETWORKS
from deceive.networks.classifier import MOST_OUTPUTS

# Longest side of an image: our networks can't be built for longer ones.
_Side = Annotated[int, Field(ge=1, le=65_536)]


class Card(BaseModel):
    """What a shipped network is, how good it is, and how to make it again."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    architecture: str
    """How the network is built, such as `fast`."""
    n_outputs: int = Field(ge=2, le=MOST_OUTPUTS)
    """The number of classes, with the rubbish class if it has one."""
    image_shape: tuple[_Side, _Side, _Side]
    """(C, H, W) of its images, in [0, 1]."""
    rubbish_class: int | None = Field(default=None, ge=0)
    """The index of the rubbish class, for a network that has one."""
    seed: int
    """The seed that it was trained with."""
    settings: dict[str, int | float | str]
    """The `TrainingSettings`, `DetectorSettings` or `RoundsSettings` it was trained with."""
    ascent: Ascent | None = None
    """How images climb, for a network with which images emerge. `draw` does the same, in shorter
    steps if it has a softness."""
    start: str = "uniform"
    """Where the images that it draws begin: uniform, gaussian, smooth, blank or squares."""
    round: int | None = Field(default=None, ge=0)
    """After how many rounds."""
    data_checksum: str
    """`Dataset.checksum` of the images it was trained on."""
    seconds: float = Field(ge=0)
    """Training time."""
    temperature: float = Field(default=1, gt=0)
    """What its logits were divided by after training, to calibrate them."""
    validation_accuracy: float = Field(ge=0, le=1)
    """Share of the images that are read correctly; for a network of the rounds, its rubbish output
    left out; for a detector, share of the images that pass."""
    test_accuracy: float = Field(ge=0, le=1)
    """The same on the test images."""
    command: str
    """Makes this network again."""
    torch: str
    """The version of PyTorch that it was trained with."""
    weights_sha256: str = ""
    """SHA-256 of the weights beside the card, which are checked against it."""

    @model_validator(mode="after")
    def _known(self) -> "Card":
        checks.one_of("architecture", self.architecture, NETWORKS)
        checks.one_of("start", self.start, STARTS)
        if self.rubbish_class is not None and self.rubbish_class >= self.n_outputs:
            raise ValueError(
                f"expected a rubbish_class below n_outputs, {self.n_outputs}, "
                f"got {self.rubbish_class}"
            )
        return self
