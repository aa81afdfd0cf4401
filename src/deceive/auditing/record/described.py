"""The model, its data and its judges, as `audit.json` describes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deceive.auditing.models.loaded import Format
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
    """What its user calls it: `net.onnx`, `my.py:net`, `timm:resnet18`; of an object, its class."""
    format: Format
    """The format it came in."""
    white_box: bool
    """Whether its gradient could be followed."""
    n_outputs: int = Field(ge=1)
    """Number of scores per image."""
    rubbish_class: Count | None
    """The output that stands for none of the classes; null without one."""
    image_shape: tuple[int, int, int]
    """(C, H, W) of an image."""
    prepared: str
    """How pictures become what it takes, in words; empty if unknown."""
    bounds: tuple[float, float]
    """Its values of black and white."""
    mean: list[float] | None
    """Subtracted from the pixels within the bounds: one number, or one per channel."""
    std: list[float] | None
    """Divides the result: one number, or one per channel."""
    output: str | None
    """The output that the audit reads; null for a model with one."""
    answers: Literal["logits", "probabilities", "log-probabilities", "sigmoids"]
    """What it returns; for probabilities the audit takes their logarithm as logits, for a sigmoid
    per class its log-odds."""
    fingerprint: str
    """SHA-256 of its files or parameters; empty if none can be read."""
    training_seconds: float | None = Field(ge=0, le=1e12)
    """Training time, from its card; null without one."""


class Data(Finding):
    """The images of the model's own classes."""

    name: ShortName
    """Name of its folder."""
    checksum: str
    """SHA-256 of its contents, however its files are packed."""
    n_classes: int = Field(ge=1)
    """Number of classes: they are the model's first outputs."""
    class_names: list[ShortName]
    """Their names, in order; their numbers if the data has no names."""
    validation_images: Count
    """Number of validation images, which set the model's own threshold."""
    test_images: Count
    """Number of test images; the figures on real images are measured on these."""
    other_data: ShortName | None
    """Name of the folder with images of other things; null without one."""

    @model_validator(mode="after")
    def _a_name_each(self) -> "Data":
        if len(self.class_names) != self.n_classes:
            raise ValueError(f"expected {self.n_classes} class names, got {len(self.class_names)}")
        return self


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
