"""How a network is trained."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deceive.common import checks


class TrainingSettings(BaseModel):
    """How a network is trained: AdamW under a one-cycle (Smith 2018) or a constant rate.

    Raises `pydantic.ValidationError`, a `ValueError`, for a field that is out of range.

        >>> from deceive import TrainingSettings
        >>> TrainingSettings(epochs=2, elasticity=0).learning_rate
        0.01
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: float = Field(default=8, gt=0, lt=10_000)
    """Passes over the images; the last may be a part of one."""
    batch_size: int = Field(default=250, ge=2, lt=checks.MOST)
    """Images per step."""
    learning_rate: float = Field(default=0.01, gt=0, le=checks.GREATEST)
    """Highest learning rate; "one-cycle" reaches it after 30% of the steps."""
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    """How the learning rate changes over the steps."""
    weight_decay: float = Field(default=0.01, ge=0, le=checks.GREATEST)
    """Weight decay of AdamW (Loshchilov and Hutter 2019)."""
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    """Share of a label that is spread over all classes (Szegedy et al. 2016)."""
    rotation: float = Field(default=8, ge=0, le=180)
    """Greatest turn of an image, in degrees."""
    scaling: float = Field(default=0.08, ge=0, lt=1)
    """Greatest stretch along each axis, and greatest shear, as a share."""
    translation: float = Field(default=2, ge=0, le=checks.GREATEST)
    """Greatest shift along each axis, in pixels."""
    elasticity: float = Field(default=0.6, ge=0, le=checks.GREATEST)
    """Elastic distortion (Simard et al. 2003): standard deviation, in pixels along each axis, of
    the shifts at a grid of 5×5 knots, between which they are interpolated."""
    adversarial_radius: float = Field(default=0, ge=0, le=checks.GREATEST)
    """How far an adversary may move an image before the network learns from it (Madry et al. 2018);
    0 means no adversary."""
    adversarial_norm: Literal["pixel", "image"] = "pixel"
    """What the radius bounds: the change of each pixel (L∞), or the Euclidean distance between
    images (L2)."""
    adversarial_steps: int = Field(default=5, ge=1, lt=checks.MOST)
    """The adversary's steps up the loss: each half the radius for pixels; for images all together
    one and a half times the radius."""

    @model_validator(mode="after")
    def _no_pixel_leaves_the_bounds(self) -> "TrainingSettings":
        if self.adversarial_norm == "pixel" and self.adversarial_radius > 1:
            raise ValueError(
                "expected an adversarial_radius of at most 1 for pixels, "
                f"got {self.adversarial_radius}"
            )
        return self
