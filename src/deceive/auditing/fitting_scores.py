"""Fitting the scores that need it, on real images, and keeping the fit in the run folder.

Those from the features, and KL matching, are fitted on one half of a validation sample; their
thresholds come from the other.
"""

import torch
from torch import Tensor

from deceive.auditing.context import Context
from deceive.auditing.features import Sample
from deceive.auditing.scoring import Scorer, Scores, logit_scores_of, watching
from deceive.common.arrays import Layout
from deceive.common.errors import InputError
from deceive.common.progress import Tick
from deceive.judging import feature_scores, logit_scores
from deceive.storage.runs import Run

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
    with watching(head, sample):
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
