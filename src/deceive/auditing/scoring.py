"""Every score of a model that should tell real images from garbage; greater for real ones.

Those from the features, and KL matching, are fitted on one half of a validation sample; their
thresholds come from the other.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from deceive.auditing.context import Context
from deceive.auditing.features import Head, Sample, Seen
from deceive.common.arrays import Layout
from deceive.common.errors import InputError
from deceive.common.progress import Tick
from deceive.data.dataset import Images
from deceive.fooling.objectives import log_odds
from deceive.judging import feature_scores, logit_scores
from deceive.judging.feature_scores import Gaussians, Subspace
from deceive.storage.runs import Run

Scores = dict[str, Tensor]
"""By name from `KINDS_OF_SCORE`, (N,) float64 each."""

# The validation images that scores are fitted on, and those that their thresholds come from: at
# most this many together, and features; with fewer than the least nothing is fitted.
_MOST, _MOST_FEATURES, _LEAST = 5000, 4_000_000, 50

# Real images per class from which a gaussian is fitted to each.
_PER_CLASS = 4

_STORED = "scores-fitted"
_LAYOUT: Layout = {
    "templates": "scores T J",
    "bank?": "scores M D",
    "means?": "scores C D",
    "whitening?": "scores D D",
    "origin?": "scores D",
    "basis?": "scores D P",
    "alpha?": "scores",
    "clip?": "scores",
    "weight?": "scores L D",
    "bias?": "scores L",
}


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
        with _watching(self.head, lambda *shown: found.append(self.of_features(*shown))):
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


def fitted_scorer(context: Context, tick: Tick) -> tuple[Scorer, Tensor, Scores]:
    """Ask about the validation images, and fit the scores on them; the fit is stored.

    Returns:
        The scorer, the logits (N, K) of all validation images, and the scores that thresholds come
        from: of all finite images, or for fitted ones of those that the fit didn't see.
    """
    subject, validation = context.subject, context.data.validation
    head = context.head
    most = _MOST if head is None else min(_MOST, _MOST_FEATURES // head.layer.in_features)
    sample = Sample(len(validation), most, context.settings.seed)
    with _watching(head, sample):
        logits = context.ask(subject, validation, tick, None if head else "clean/validation")
    usable = logits[sample.numbers].isfinite().all(1)
    numbers = sample.numbers[usable]
    half = len(numbers) // 2
    scorer, held_out = Scorer(subject, head), logit_scores_of(subject, only_finite(logits))
    if len(numbers) < _LEAST:
        return scorer, logits, held_out
    classes = subject.class_outputs(logits[numbers].double())
    scorer.fitted["templates"] = _as_stored(logit_scores.templates_of(classes[:half]))
    held_out["kl_matching"] = scorer.of_logits(logits[numbers[half:]])["kl_matching"]
    if head is not None:
        features, made = (each[usable] for each in sample.kept())
        labels = validation.labels[numbers]
        found = _fitted(scorer, features[:half], made[:half], labels[:half])
        scorer.fitted.update({name: _as_stored(value) for name, value in found.items()})
        held_out |= scorer.of_features(features[half:], made[half:])
    arrays = {name: value.float().numpy() for name, value in scorer.fitted.items()}
    context.run.save_arrays(_STORED, **arrays)
    return scorer, logits, held_out


def _as_stored(values: Tensor) -> Tensor:
    """The values as they are read back: the thresholds have to hold for those."""
    return values.float().double()


def _fitted(scorer: Scorer, features: Tensor, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """What the scores of features need, from real ones (N, D), their logits and labels."""
    head, found = scorer.head, {"bank": features}
    varied = features.std(0).max() > 0
    if varied and len(features) >= _PER_CLASS * len(set(labels.tolist())):
        found |= feature_scores.fit_gaussians(features, labels)._asdict()
    if varied and head is not None and scorer.outputs.rubbish_class is None:
        subspace = feature_scores.fit_subspace(features, logits, head.weight, head.bias)
        if subspace.alpha.isfinite():
            found |= subspace._asdict()
        found |= {"clip": feature_scores.clip_of(features)}
        found |= {"weight": head.weight, "bias": head.bias}
    return found


def stored_scorer(context: Context) -> Scorer:
    """The scorer that the part `clean` has fitted."""
    fitted = load_fitted(context.run)
    return Scorer(context.subject, context.head if "bank" in fitted else None, fitted)


def load_fitted(run: Run) -> dict[str, Tensor]:
    """What real images gave the scores that need a fit; nothing if there were too few.

    Raises `InputError` when the file is damaged.
    """
    if not run.has_arrays(_STORED):
        return {}
    arrays = run.load_arrays(_STORED, _LAYOUT)
    return {name: torch.from_numpy(each).double() for name, each in arrays.items()}


def only_finite(logits: Tensor) -> Tensor:
    """The logits (N, K) without NaN or infinity. Raises `InputError` when none is left."""
    finite = logits.isfinite().all(1)
    if not finite.any():
        raise InputError(
            "model: expected finite outputs for real images, got NaN or infinity; to rule out a "
            "class, use a large negative logit, not -inf"
        )
    return logits[finite]


def _watching(head: Head | None, seen: Seen) -> AbstractContextManager[None]:
    return nullcontext() if head is None else head.watched(seen)
