"""Every score of a model that should tell real images from garbage; greater for real ones."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from deceive.auditing.context import Context
from deceive.auditing.features import Head, Seen
from deceive.common.progress import Tick
from deceive.data.dataset import Images
from deceive.fooling.objectives import log_odds
from deceive.judging import feature_scores, logit_scores
from deceive.judging.feature_scores import Gaussians, Subspace

Scores = dict[str, Tensor]
"""By name from `SCORES`, (N,) float64 each."""


class Outputs(Protocol):
    """What a model's outputs stand for: a `Subject`'s, or those of a model that was audited."""

    @property
    def answers(self) -> str:
        """Logits, probabilities or log-probabilities."""
        ...

    @property
    def rubbish_class(self) -> int | None:
        """The output that stands for none of the classes."""
        ...

    def class_outputs(self, values: Tensor) -> Tensor:
        """The outputs (N, K) without the rubbish class."""
        ...


def logit_scores_of(subject: Outputs, logits: Tensor) -> Scores:
    """The scores from logits (N, K), finite, that need no fit.

    `msp` is log(p / (1 - p)) of the greatest class probability p, which has the same order but does
    not round to 1. If the model returns probabilities, `max_logit` and `energy` are left out;
    `rubbish`, minus the log of the rubbish probability, is there if the model has such a class.
    """
    logits = logits.double()
    classes = subject.class_outputs(logits)
    rubbish = -1 if subject.rubbish_class is None else subject.rubbish_class
    surest = logits.where(torch.arange(logits.shape[1]) != rubbish, -torch.inf).argmax(1)
    scores = {"msp": log_odds(logits, surest)}
    if subject.answers == "logits":
        scores["max_logit"] = logit_scores.max_logit(classes)
        scores["energy"] = logit_scores.energy(classes)
    scores["entropy"] = logit_scores.entropy(classes)
    scores["gen"] = logit_scores.generalised_entropy(classes)
    if subject.rubbish_class is not None:
        scores["rubbish"] = -logits.log_softmax(1)[:, subject.rubbish_class]
    return scores


@dataclass(frozen=True, eq=False)
class Scorer:
    """A model's scores, some of them fitted on real images."""

    outputs: Outputs
    head: Head | None
    """Where features are seen; None for a model without."""
    fitted: dict[str, Tensor] = field(default_factory=dict)
    """What real images gave the scores that need a fit."""

    def ask(self, context: Context, images: Images, tick: Tick, keep: str) -> tuple[Tensor, Scores]:
        """The model's logits (N, K) for images, and the scores of those that are finite.

        `keep` as in `Context.ask`; features aren't kept.
        """
        if not len(images):
            return torch.empty(0, 1), {}
        found: list[Scores] = []
        with watching(self.head, lambda *shown: found.append(self.of_features(*shown))):
            logits = context.ask(context.subject, images, tick, None if self.head else keep)
        finite = logits.isfinite().all(1)
        scores = self.of_logits(logits[finite])
        for name in found[0] if found else ():
            scores[name] = torch.cat([each[name] for each in found])[finite]
        return logits, scores

    def of_logits(self, logits: Tensor) -> Scores:
        """The scores of finite logits (N, K)."""
        scores = logit_scores_of(self.outputs, logits)
        if "templates" in self.fitted:
            classes = self.outputs.class_outputs(logits.double())
            matched = logit_scores.kl_matching(classes, self.fitted["templates"])
            scores["kl_matching"] = matched
        return scores

    @property
    def n_features(self) -> int:
        """How many features it was fitted on, D; 0 for none."""
        return self.fitted["bank"].shape[1] if "bank" in self.fitted else 0

    def of_features(self, features: Tensor, logits: Tensor) -> Scores:
        """The scores of features (N, D) and the layer's logits (N, K); -inf where they are NaN."""
        fit, scores = self.fitted, {}
        if "bank" in fit:
            scores["knn"] = feature_scores.knn(features, fit["bank"])
        if "means" in fit:
            gaussians = Gaussians(fit["means"], fit["whitening"])
            scores["mahalanobis"] = feature_scores.mahalanobis(features, gaussians)
        if "basis" in fit:
            subspace = Subspace(fit["origin"], fit["basis"], fit["alpha"])
            scores["vim"] = feature_scores.vim(features, logits, subspace)
        if "clip" in fit:
            scores["react"] = feature_scores.react(
                features, fit["weight"], fit["bias"], fit["clip"]
            )
        return {name: each.nan_to_num(-torch.inf, torch.inf) for name, each in scores.items()}


def watching(head: Head | None, seen: Seen) -> AbstractContextManager[None]:
    """A head watched, as `Head.watched`; nothing where there is none."""
    return nullcontext() if head is None else head.watched(seen)
