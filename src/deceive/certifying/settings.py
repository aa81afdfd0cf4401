"""How a detector is trained."""

from pydantic import BaseModel, ConfigDict, Field

from deceive.common import checks


class DetectorSettings(BaseModel):
    """How a detector is trained, and what it is trained to prove.

    Raises `pydantic.ValidationError`, a `ValueError`, for a field that is out of range.

        >>> from deceive.certifying.settings import DetectorSettings
        >>> DetectorSettings(steps=100).epsilon
        0.3
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(default=4000, ge=1, lt=checks.MOST)
    """Steps of training."""
    batch_size: int = Field(default=128, ge=2, lt=checks.MOST)
    """Real images per step, and images of garbage."""
    learning_rate: float = Field(default=0.004, gt=0, le=checks.GREATEST)
    """The rate of Adam (Kingma and Ba 2015); over the last 40% of the steps it falls to 0."""
    epsilon: float = Field(default=0.3, ge=0, lt=1)
    """How far around garbage the bounds have to hold: the greatest change of a pixel. It grows to
    this over the first 60% of the steps."""
    weight: float = Field(default=3, gt=0, le=checks.GREATEST)
    """Weight of the real images' loss, beside that of the garbage."""
    garbage: int = Field(default=100_000, ge=100)
    """Garbage images to train on, of all kinds together."""
    kept: float = Field(default=0.995, gt=0.5, lt=1)
    """Share of the validation images that should pass, with log-odds of at least 8."""
