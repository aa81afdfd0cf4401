"""Who takes part in an audit: the model, its data and its judges, as `audit.json` names them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deceive.common.checks import Count, Share

ShortName = Annotated[str, Field(max_length=500)]
"""A name for tables."""


class Finding(BaseModel):
    """A part of `audit.json`: frozen, and with no other fields than its own."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Model(Finding):
    """What was audited, and how it was shown its images."""

    name: ShortName
    """A short name: of the file, the factory or the class."""
    format: Literal["module", "torch.export", "TorchScript", "safetensors", "ONNX", "callable"]
    """How it came."""
    white_box: bool
    """Whether its gradient was used."""
    n_outputs: int = Field(ge=1)
    """How many scores it gives each image."""
    rubbish_class: Count | None
    """The output that stands for none of the classes."""
    image_shape: tuple[int, int, int]
    """(C, H, W)."""
    bounds: tuple[float, float]
    """Its values of black and white."""
    mean: list[float] | None
    """Subtracted from the pixels within the bounds: one number, or one per channel."""
    std: list[float] | None
    """Divides the result: one number, or one per channel."""
    output: str | None
    """The output that the audit reads, for a model with several."""
    answers: Literal["logits", "probabilities", "log-probabilities"]
    """What it returns; for probabilities the audit takes their logarithm as logits."""
    fingerprint: str
    """SHA-256 of its files or parameters; empty if none can be read."""
    training_seconds: float | None = Field(ge=0, le=1e12)
    """From its card, where it has one."""


class Data(Finding):
    """The images of the model's own classes."""

    name: ShortName
    """Of its folder."""
    checksum: str
    """SHA-256 that identifies it, however its files are packed."""
    n_classes: int = Field(ge=1)
    """The model's first so many outputs."""
    validation_images: Count
    """Thresholds are taken from these."""
    test_images: Count
    """Everything that is said of real images is of these."""
    other_data: ShortName | None
    """Name of the folder with images of other things, if there was one."""


class Judge(Finding):
    """A classifier that votes on what an image shows."""

    name: ShortName
    """A short name."""
    accuracy: Share | None
    """Share of the test images that it reads correctly, ignoring its own rubbish class."""
    bounds: tuple[float, float] | None
    """Its values of black and white."""
    mean: list[float] | None
    """Subtracted from the pixels within the bounds: one number, or one per channel."""
    std: list[float] | None
    """Divides the result: one number, or one per channel."""
