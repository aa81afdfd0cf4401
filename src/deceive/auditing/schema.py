"""What an audit found: the content of `audit.json`, as `docs/audit-schema.md` describes it.

Shares and confidences are in [0, 1]. None (`null`) stands for what was not measured or cannot be.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deceive.errors import InputError

VERSION: Literal[1] = 1

Name = Literal["asked", "own"]
"""Of the two thresholds."""
Box = Literal["white", "black"]
"""Whether an attack follows the model's gradient, or sees its answers alone."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Model(_Part):
    """What was audited, and how it was shown its images."""

    name: str
    format: Literal["module", "torch.export", "TorchScript", "safetensors", "ONNX", "callable"]
    white_box: bool
    """Whether its gradient was used."""
    n_outputs: int
    rubbish_class: int | None
    """The output that stands for none of the classes."""
    image_shape: tuple[int, int, int]
    """(C, H, W)."""
    bounds: tuple[float, float]
    """What black and white are to it."""
    mean: list[float] | None
    """What is subtracted from pixels within the bounds, one for all channels or one each."""
    std: list[float] | None
    """What they are divided by then."""
    gives_probabilities: bool
    """Whether it answers with probabilities; their logarithm is then taken for the logits."""
    fingerprint: str
    """SHA-256 of its file or parameters; empty for a callable."""
    training_seconds: float | None
    """From its card, where it has one."""


class Data(_Part):
    """The images of the model's own classes."""

    name: str
    checksum: str
    n_classes: int
    validation_images: int
    test_images: int


class Clean(_Part):
    """How the model reads real images: the test set, unless said otherwise."""

    not_finite: int
    """How many real images got NaN or infinity for an answer. They count as misread; calibration
    and mean confidence are of the others."""
    accuracy: float
    """Over all outputs."""
    class_accuracy: float
    """With the rubbish class left out; the same where there is none."""
    validation_accuracy: float
    calibration_error: float
    """Expected calibration error, 15 bins."""
    mean_confidence: float
    """Mean of the greatest probability of a class."""


class Threshold(_Part):
    """A confidence that counts as being sure."""

    name: Name
    """`asked` is 0.99 unless another was asked for; `own` is what 95% of the validation images
    that the model reads correctly reach."""
    confidence: float
    test_share: float
    """Share of the test images that get at least this confidence in their label."""


class Outcome(_Part):
    """What became of candidates at one threshold."""

    threshold: Name
    candidates: int
    fooling_rate: float
    """Share that reach the threshold."""
    gibberish_rate: float | None
    """Share that reach it while the judge doesn't call them the target; None without a judge."""
    median: float | None
    """Median steps (queries, for a search) of those that reach it."""

    @property
    def rate(self) -> float:
        """The gibberish rate; without a judge the fooling rate."""
        return self.fooling_rate if self.gibberish_rate is None else self.gibberish_rate


class Attack(_Part):
    """One way to fool the model, from one kind of start."""

    name: str
    box: Box
    start: str
    outcomes: list[Outcome]


class Headline(_Part):
    """All attacks of a box together: a candidate counts if any of them succeeds with it."""

    box: Box
    outcomes: list[Outcome]
    """One for each threshold."""

    def outcome(self, threshold: Name) -> Outcome:
        """The one at that threshold."""
        return next(each for each in self.outcomes if each.threshold == threshold)


class Curve(_Part):
    """Confidence against effort, of candidates that go on beyond every threshold."""

    name: str
    box: Box
    start: str
    unit: Literal["steps", "queries"]
    budgets: list[int]
    mean_confidence: list[float]
    """Of the target, after each budget."""
    asked_share: list[float]
    """Share with at least the asked confidence."""
    judge_agreement: list[float] | None
    """Share that the judge calls the target."""


class Score(_Part):
    """How well a score tells real test images from garbage."""

    auroc: float
    fpr_at_95_tpr: float
    """The threshold is taken from the validation images alone."""


class Garbage(_Part):
    """Images that show none of the classes, and what the model says of them."""

    kind: str
    """`optimised` are the ends of the curves that the judge doesn't call the target."""
    images: int
    not_finite: int
    """How many got NaN or infinity for an answer; all else is of the others."""
    mean_confidence: float | None
    """Mean of the greatest probability of a class (MMC, Hein et al. 2019)."""
    asked_share: float | None
    """Share with at least the asked confidence in a class."""
    own_share: float | None
    caught: float | None
    """Share whose greatest output is the rubbish class; None where there is none."""
    scores: dict[Literal["msp", "max_logit", "energy", "rubbish"], Score]
    """Only those that the model's answers allow."""


class Failure(_Part):
    """A part that the model did not live through."""

    part: str
    reason: str


class Report(_Part):
    """The whole of `audit.json`."""

    schema_version: Literal[1] = VERSION
    deceive: str
    """Version of the package that wrote it."""
    command: str
    """Makes this audit again."""
    complete: bool
    missing: list[str]
    """Parts that there was no time for; the same command goes on from there."""
    failures: list[Failure]
    notes: list[str]
    """What was found out, or could not be done, in sentences."""
    model: Model
    data: Data
    judge: str | None
    judge_accuracy: float | None
    """Share of the test images that the judge reads correctly."""
    settings: dict[str, int | float | str | bool | list[int] | None]
    clean: Clean | None
    thresholds: list[Threshold]
    headlines: list[Headline]
    attacks: list[Attack]
    curves: list[Curve]
    garbage: list[Garbage]
    seconds: float = Field(ge=0)
    """Time that the parts took."""

    @property
    def headline(self) -> Headline | None:
        """What the verdict goes by: the box whose attacks do better; None before there is any."""
        return max(
            self.headlines,
            key=lambda headline: sorted((each.rate for each in headline.outcomes), reverse=True),
            default=None,
        )

    def rate(self, threshold: Name) -> float | None:
        """The greatest gibberish rate of a box at a threshold; without a judge, fooling rate."""
        return max(
            (headline.outcome(threshold).rate for headline in self.headlines),
            default=None,
        )

    @property
    def worst_rate(self) -> float | None:
        """The greater of the rates at both thresholds; None before any candidate was tried."""
        rates = (self.rate("asked"), self.rate("own"))
        return max((rate for rate in rates if rate is not None), default=None)

    def threshold(self, name: Name) -> Threshold | None:
        """The threshold of that name, once it is known."""
        return next((each for each in self.thresholds if each.name == name), None)

    def kind_of_garbage(self, kind: str) -> Garbage | None:
        """What was found of that kind of garbage, once it is known."""
        return next((each for each in self.garbage if each.kind == kind), None)


def read_report(path: Path) -> Report:
    """The audit in a file. Raises `InputError` when there is none, or it isn't of this schema."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected an audit.json; {error.strerror}") from error
    try:
        return Report.model_validate_json(content)
    except ValidationError as error:
        version = _version(content)
        if version is not None and version != VERSION:
            raise InputError(
                f"{path}: expected an audit of schema version {VERSION}, got {version}"
            ) from error
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{path}: expected an audit.json; {where + ': ' if where else ''}{first['msg']}"
        ) from error


def _version(content: bytes) -> object:
    try:
        loaded = json.loads(content)
    except ValueError:
        return None
    return loaded.get("schema_version") if isinstance(loaded, dict) else None
