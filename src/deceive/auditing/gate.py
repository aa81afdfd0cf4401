"""Tell which of a model's answers to trust, as an audit of it recommends."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from deceive.auditing.fitting_scores import load_fitted
from deceive.auditing.models.readings import Reading
from deceive.auditing.record.advice import Limit
from deceive.auditing.record.measured import SCORES
from deceive.auditing.record.schema import AuditReport, read_report
from deceive.auditing.scoring import Scorer
from deceive.common import arguments, checks
from deceive.common.errors import InputError
from deceive.storage.runs import Run


@dataclass(frozen=True)
class _Outputs:
    """What a model's outputs stand for."""

    answers: str
    rubbish_class: int | None

    def class_outputs(self, values: Tensor) -> Tensor:
        """The outputs (N, K) without the rubbish class."""
        kept = torch.arange(values.shape[1]) != (
            -1 if self.rubbish_class is None else self.rubbish_class
        )
        return values[:, kept]


class Gate:
    """A score of a model's answers, and the threshold below which not to answer.

    Args:
        folder: the run folder of an audit of the model.
        score: a name from the `limits` of `audit.json`; by default the recommended score.

    Attributes:
        limit: the score's name, its threshold, and the shares of real images that reach it.

    Raises:
        InputError: when there is no audit in the folder, or it has no such score.

    >>> import torch
    >>> import deceive
    >>> labels = torch.arange(200) % 2  # dark and bright images
    >>> noise = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> images = 0.8 * labels[:, None, None, None] + 0.2 * noise
    >>> def model(images):  # the brighter, the surer that it is class 1
    ...     logit = 40 * (images.mean((1, 2, 3)) - 0.5)
    ...     return torch.stack([torch.zeros_like(logit), logit], 1)
    >>> little = deceive.AuditSettings(
    ...     candidates=4, steps=10, curve_candidates=2, searched=2, queries=100, garbage_images=20
    ... )
    >>> data = (images, labels)
    >>> _ = deceive.audit(model, data, judge=None, settings=little, out="runs/mine")
    >>> gate = deceive.auditing.Gate("runs/mine", "msp")
    >>> gate(model(images)).shape, gate.limit.test_share > 0.8
    (torch.Size([200]), True)
    """

    def __init__(self, folder: Path | str, score: str | None = None) -> None:
        arguments.place("folder", folder)
        run = Run.open(Path(folder))
        report = read_report(run.folder / "audit.json")
        self.limit = _limit(report, score, run.folder)
        self._model = report.model
        outputs = _Outputs(report.model.answers, report.model.rubbish_class)
        self._scorer = Scorer(outputs, None, load_fitted(run))

    def __call__(self, outputs: Tensor, features: Tensor | None = None) -> Tensor:
        """Which images to answer, (N,) bool; for the arguments see `score`."""
        return self.score(outputs, features) >= self.limit.threshold

    def score(self, outputs: Tensor, features: Tensor | None = None) -> Tensor:
        """The score (N,) float64 of images: the greater, the more they are like real ones.

        Args:
            outputs: (N, K), what the model returns, the data's classes first: its logits, or
                probabilities where `model.answers` of `audit.json` says so. If the audit found
                logits before a softmax at its end, those.
            features: (N, D), what goes into the model's last linear layer; `react`, `knn`,
                `mahalanobis` and `vim` are made of them.

        Raises:
            InputError: when the score is made of features, and there are none or others.
        """
        logits = self._logits(outputs.detach().double().cpu())
        scores = self._scorer.of_logits(logits)
        if self.limit.score in scores:
            return scores[self.limit.score]
        shape = (len(logits), self._scorer.n_features)
        if features is None or features.shape != shape:
            raise InputError(
                f"features: expected {shape} for the score {self.limit.score!r}, what goes into "
                "the model's last linear layer, got "
                + ("none" if features is None else str(tuple(features.shape)))
            )
        return self._scorer.of_features(features.detach().double().cpu(), logits)[self.limit.score]

    def _logits(self, outputs: Tensor) -> Tensor:
        """Logits as the audit read them: it took logarithms, and added a column to some models."""
        model, columns = self._model, outputs.shape[-1] if outputs.ndim > 1 else 1
        reading = Reading(
            "logits" if (outputs < 0).any() else model.answers,
            single=columns == 1 and model.n_outputs == 2,
            none_of_them=columns == model.rubbish_class == model.n_outputs - 1,
        )
        return reading(outputs).double()


def _limit(report: AuditReport, score: str | None, folder: Path) -> Limit:
    if score is None:
        if report.advice is None:
            raise InputError(f"{folder}: expected an audit with advice, got one without")
        return report.advice.limit
    checks.one_of("score", score, SCORES)
    for limit in report.limits:
        if limit.score == score:
            return limit
    known = ", ".join(limit.score for limit in report.limits) or "none"
    raise InputError(f"score: expected one that the audit has measured ({known}), got {score!r}")
