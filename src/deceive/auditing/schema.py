"""What an audit found: the content of `audit.json`, as `docs/audit-schema.md` describes it.

Shares and confidences are in [0, 1]. None (`null`) stands for what was not measured or cannot be.
"""

import json
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from deceive.auditing.settings import AuditSettings
from deceive.common import checks
from deceive.common.checks import Count, Share
from deceive.common.errors import InputError
from deceive.common.files import read_json

VERSION: Literal[3] = 3

# This older version is read too: fields it lacks get a value that means "not measured".
_EARLIER = 2

Name = Literal["asked", "own"]
"""Of the two thresholds."""
Box = Literal["white", "black"]
"""Whether an attack follows the model's gradient, or sees its answers alone."""


# Kinds of garbage, in words.
KINDS = {
    "uniform": "uniform noise",
    "gaussian": "gaussian noise",
    "smooth": "smooth noise",
    "squares": "squares upon one another",
    "permuted": "shuffled pixels",
    "constant": "plain grey",
    "other data": "other data",
    "optimised": "optimised",
}


ShortName = Annotated[str, Field(max_length=500)]
"""A name for tables."""


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Model(_Part):
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


class Data(_Part):
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


class Judge(_Part):
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


class Clean(_Part):
    """How the model reads real images: the test set, unless said otherwise."""

    not_finite: Count
    """How many real images got NaN or infinity for an answer. They count as misread; calibration
    and mean confidence are of the others."""
    accuracy: Share
    """Over all outputs."""
    class_accuracy: Share
    """With the rubbish class left out; the same where there is none."""
    validation_accuracy: Share
    """Of the validation images, over all outputs."""
    calibration_error: Share
    """Expected calibration error, 15 bins."""
    mean_confidence: Share
    """Mean of the greatest probability of a class."""


class Threshold(_Part):
    """A confidence that counts as being sure."""

    name: Name
    """`asked` is 0.99 unless another was asked for; `own` is what 95% of the validation images
    that the model reads correctly reach."""
    confidence: Share
    """Softmax probability, at temperature 1, over all outputs."""
    test_share: Share
    """Share of the test images that get at least this confidence in their label."""


class Outcome(_Part):
    """What became of candidates at one threshold."""

    threshold: Name
    """Its name."""
    candidates: int = Field(ge=1)
    """How many start images, each with a target."""
    fooling_rate: Share
    """Share that reach the threshold."""
    gibberish_rate: Share | None
    """Share that reach it and are not the target to the judges; None without judges."""
    median: float | None = Field(ge=0)
    """Median steps (queries, for a search) of those that reach it."""
    gibberish_median: float | None = Field(default=None, ge=0)
    """The same over those that are gibberish; None without judges."""
    stalled: float | None = None
    """Share that did not reach it because their gradient vanished: it was 0, or too small for
    float32, in nearly all pixels. Over all attacks: those that stalled in most of them. None for a
    black box."""

    @property
    def rate(self) -> float:
        """The gibberish rate; without judges the fooling rate."""
        return self.fooling_rate if self.gibberish_rate is None else self.gibberish_rate

    @property
    def effort(self) -> float | None:
        """Median steps or queries of the candidates that the rate counts."""
        return self.median if self.gibberish_rate is None else self.gibberish_median


def _both(outcomes: list[Outcome]) -> list[Outcome]:
    if sorted(each.threshold for each in outcomes) != ["asked", "own"]:
        raise ValueError(
            "expected an outcome at each of the thresholds asked and own, got "
            f"{', '.join(each.threshold for each in outcomes) or 'none'}"
        )
    return outcomes


Outcomes = Annotated[list[Outcome], AfterValidator(_both)]


class Attack(_Part):
    """One way to fool the model, from one kind of start."""

    name: str
    """White: `momentum`, `sign`, `adam`, `smoothed`, `restarts`. Black: `made for …` (images that
    fool a shipped network), `squares`, `low-frequency`."""
    box: Box
    """White where it follows the gradient, black where it sees answers alone."""
    start: str
    """`uniform`, `gaussian`, `smooth`, `blank`, `squares` or `real`; `search` for what begins by
    itself."""
    outcomes: Outcomes
    """One for each threshold."""


class Headline(_Part):
    """All attacks of a box together: a candidate counts if any of them succeeds with it."""

    box: Box
    """Which attacks are meant."""
    outcomes: Outcomes
    """One for each threshold."""

    def outcome(self, threshold: Name) -> Outcome:
        """The one at that threshold."""
        return next(each for each in self.outcomes if each.threshold == threshold)


class Curve(_Part):
    """Confidence against effort, of candidates that go on beyond every threshold."""

    name: str
    """Of the attack."""
    box: Box
    """Of the attack."""
    start: str
    """Of the candidates."""
    unit: Literal["steps", "queries"]
    """What the effort is counted in."""
    budgets: list[Annotated[int, Field(ge=1)]]
    """How much of it, for each candidate, ascending."""
    mean_confidence: list[Share]
    """Of the target, after each budget."""
    asked_share: list[Share]
    """Share with at least the asked confidence."""
    judge_agreement: list[Share] | None
    """Share that the judges call the target."""

    @model_validator(mode="after")
    def _of_one_length(self) -> "Curve":
        lists = (self.budgets, self.mean_confidence, self.asked_share, self.judge_agreement)
        lengths = [len(each) for each in lists if each is not None]
        if 0 in lengths or len(set(lengths)) > 1 or self.budgets != sorted(set(self.budgets)):
            raise ValueError(
                f"expected ascending budgets and a value for each, got lists of {lengths}"
            )
        return self


class Score(_Part):
    """How well a score tells real test images from garbage."""

    auroc: Share
    """The chance that a real image scores higher; equal scores count half."""
    fpr_at_95_tpr: Share
    """The threshold is taken from the validation images alone."""


class Garbage(_Part):
    """Images that show none of the classes, and what the model says of them."""

    kind: str
    """`optimised` are the ends of the curves that the judges don't call the target."""
    images: Count
    """How many there were."""
    not_finite: Count
    """How many got NaN or infinity for an answer; all else is of the others."""
    mean_confidence: Share | None
    """Mean of the greatest probability of a class (MMC, Hein et al. 2019)."""
    asked_share: Share | None
    """Share with at least the asked confidence in a class."""
    own_share: Share | None
    """Share with at least the model's own threshold in a class."""
    caught: Share | None
    """Share whose greatest output is the rubbish class; None where there is none."""
    scores: dict[Literal["msp", "max_logit", "energy", "rubbish"], Score]
    """By name: `msp`, the greatest probability of a class; `max_logit`; `energy`, the logsumexp of
    the classes' logits; `rubbish`, one less the rubbish probability. Only those that the model's
    answers allow: probabilities have no logits."""

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        checks.one_of("kind", kind, KINDS)
        return kind

    @field_validator("scores")
    @classmethod
    def _msp_if_any(cls, scores: dict[str, Score]) -> dict[str, Score]:
        if scores and "msp" not in scores:
            raise ValueError(f"expected msp among them, got {', '.join(scores)}")
        return scores


class Failure(_Part):
    """A part that failed because the model raised an error."""

    part: str
    """Which."""
    reason: str
    """What the model said."""


class Report(_Part):
    """The whole of `audit.json`."""

    schema_version: Literal[3] = VERSION
    """Changes when a field does."""
    deceive: ShortName
    """Version of the package that wrote it."""
    command: str
    """Makes this audit again."""
    complete: bool
    """Whether nothing is missing and nothing failed."""
    missing: list[str]
    """Parts that there was no time for; the same command goes on from there."""
    failures: list[Failure]
    """Parts that failed because the model raised an error."""
    warnings: list[str]
    """Reasons why the figures may be misleading, in sentences; with any, the audit doesn't exit
    with 0."""
    notes: list[str]
    """What was found out, or could not be done, in sentences."""
    model: Model
    """What was audited."""
    data: Data
    """The real images."""
    judges: list[Judge]
    """The classifiers that tell gibberish from real images: an image shows the target if a majority
    of them says so."""
    judge_accuracy: Share | None
    """Share of the test images that most of them read correctly."""
    settings: AuditSettings
    """How much was done."""
    clean: Clean | None
    """How real images are read."""
    thresholds: list[Threshold]
    """The two."""
    headlines: list[Headline]
    """One for each box that was tried."""
    attacks: list[Attack]
    """Each by itself."""
    curves: list[Curve]
    """One for each attack that was followed beyond the thresholds."""
    garbage: list[Garbage]
    """Each kind."""
    seconds: float = Field(ge=0)
    """Time that the parts took."""

    @field_validator("settings", mode="before")
    @classmethod
    def _all_of_them(cls, settings: Any) -> Any:
        given = settings.keys() if isinstance(settings, dict) else AuditSettings.model_fields
        # Audits written before there were `ways` had all of them.
        if lacking := sorted(AuditSettings.model_fields.keys() - given - {"ways"}):
            raise ValueError(f"expected all settings, found no {', '.join(lacking)}")
        return settings

    @model_validator(mode="after")
    def _each_once(self) -> "Report":
        names = [each.name for each in self.thresholds]
        if sorted(names) not in ([], ["asked", "own"]) or (self.headlines and not names):
            raise ValueError(
                f"expected the thresholds asked and own, got {', '.join(names) or 'none'}"
            )
        for what, found in (
            ("headline of a box", [each.box for each in self.headlines]),
            ("kind of garbage", [each.kind for each in self.garbage]),
        ):
            if len(set(found)) < len(found):
                raise ValueError(f"expected one {what}, got {', '.join(found)}")
        return self

    @model_validator(mode="after")
    def _complete_or_not(self) -> "Report":
        lacking = bool(self.missing or self.failures)
        if self.complete == lacking:
            named = "missing or failed parts" if lacking else "no missing or failed parts"
            raise ValueError(f"expected complete to be {not lacking} with {named}")
        parts = {"clean": self.clean, "headlines": self.headlines, "garbage": self.garbage}
        absent = [name for name, part in parts.items() if not part]
        if self.complete and absent:
            raise ValueError(f"expected all parts in a complete audit, found no {absent[0]}")
        return self

    @property
    def headline(self) -> Headline | None:
        """The box that the verdict uses, whose attacks do better; None before any are done.

        In a tie, the one with fewer stalled candidates.
        """

        def success(headline: Headline) -> tuple[list[float], float]:
            rates = sorted((each.rate for each in headline.outcomes), reverse=True)
            return rates, -max(each.stalled or 0 for each in headline.outcomes)

        return max(self.headlines, key=success, default=None)

    def rate(self, threshold: Name) -> float | None:
        """The greatest gibberish rate of a box at a threshold; without judges, fooling rate."""
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
    """Read an audit, of this schema version or the previous one.

    Raises `InputError` when the file is missing or doesn't match the schema.
    """
    content = read_json(path, "an audit.json")
    version = content.get("schema_version", VERSION)
    if version not in (_EARLIER, VERSION):
        raise InputError(
            f"{path}: expected an audit of schema version {_EARLIER} or {VERSION}, got {version!r}"
        )
    content = _upgraded(content) if version == _EARLIER else content
    return checks.fits(Report, content, str(path), "an audit.json")


def page() -> str:
    """The whole schema as Markdown: what `docs/audit-schema.md` holds."""
    lines = [
        "# `audit.json`",
        "",
        f"What `deceive audit` writes, schema version {VERSION}. Shares and confidences are in "
        "[0, 1]; `null` stands for what was not measured or cannot be. `deceive.auditing."
        "read_report` reads and checks a file. This page is made from the code: `python -m "
        "deceive.auditing > docs/audit-schema.md`.",
    ]
    parts = (Model, Data, Judge, AuditSettings, Clean, Threshold, Outcome, Attack, Headline)
    for part in (Report, *parts, Curve, Score, Garbage, Failure):
        title = "The file" if part is Report else part.__name__
        lines += ["", f"## {title}", "", _one_line((part.__doc__ or "").partition("\n\n")[0]), ""]
        lines += ["| field | type | meaning |", "|---|---|---|"]
        for name, field in part.model_fields.items():
            kind = _type(field.annotation)
            lines.append(f"| `{name}` | {kind} | {_one_line(field.description)} |")
    return "\n".join(lines) + "\n"


def _type(annotation: Any) -> str:
    """A type as a reader of JSON knows it."""
    if annotation is type(None):
        return "null"
    if get_origin(annotation) in (UnionType, Union):
        return " or ".join(map(_type, get_args(annotation)))
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in get_args(annotation))
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is tuple and ... in get_args(annotation):
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is tuple:
        return "[" + ", ".join(map(_type, get_args(annotation))) + "]"
    if get_origin(annotation) is list:
        return f"list of {_type(*get_args(annotation))}"
    if get_origin(annotation) is dict:
        return f"object of {_type(get_args(annotation)[1])}"
    if issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    names = {str: "string", bool: "true or false", int: "integer", float: "number"}
    return names[annotation]


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Convert an audit of the previous schema version."""
    judges, model = content.get("judges"), content.get("model")
    if isinstance(judges, list):
        unknown = dict.fromkeys(("accuracy", "bounds", "mean", "std"))
        judges = [{"name": name} | unknown for name in judges]
    if isinstance(model, dict):
        # That version took log-probabilities for logits.
        kind = "probabilities" if model.get("gives_probabilities") else "logits"
        model = {name: value for name, value in model.items() if name != "gives_probabilities"}
        model |= {"output": None, "answers": kind}
    changed = {"schema_version": VERSION, "warnings": [], "judges": judges, "model": model}
    return content | changed
