"""How the model reads real images, and the thresholds that follow from it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.auditing.about import noticed
from deceive.auditing.context import Context
from deceive.auditing.fitting_scores import fitted_scorer, only_finite
from deceive.auditing.guessing import all_rubbish, at_chance
from deceive.auditing.judges import majority
from deceive.auditing.models.preprocessing import pictures_of
from deceive.auditing.models.subject import Subject
from deceive.auditing.orders import another_order
from deceive.auditing.record.advice import Limit
from deceive.auditing.record.measured import SCORES, Clean, Name, Threshold
from deceive.auditing.record.rows import CleanRow
from deceive.auditing.record.stored import REAL, scores_name
from deceive.auditing.scoring import Scores
from deceive.auditing.settings import CERTAIN
from deceive.auditing.shares import share_of
from deceive.common.arrays import Arrays
from deceive.common.errors import InputError
from deceive.common.levels import to_levels
from deceive.common.progress import Tick
from deceive.data.dataset import Labelled
from deceive.judging.scores import calibration_error, reached_by

# The share of (correctly read) validation images that reach a threshold taken from them.
KEPT = 0.95

# Real images to show.
_SHOWN = 8


@dataclass(frozen=True)
class CleanPart:
    """The first part: everything else is measured against it."""

    name: str = "clean"
    words: str = "reading real images"

    def run(self, context: Context, tick: Tick) -> CleanRow:
        """Read validation and test images; the thresholds are taken from the former."""
        data, subject = context.data, context.subject
        scorer, answers, held_out_scores = fitted_scorer(context, tick)
        held_out = _Read.of(answers, data.validation)
        answers, test_scores = scorer.ask(context, data.test, tick, "clean/test")
        only_finite(answers)  # or else there is nothing to compare with
        tested = _Read.of(answers, data.test)
        _keep(context, validation=held_out_scores, test=test_scores)
        _keep_real(context, tested)
        # The rubbish class comes after the data's, so that theirs keep their places.
        classes = subject.class_outputs(tested.probabilities)
        seen = context.seen(data.test, tick, "clean/judge")
        accuracy = share_of(tested.right)
        reordered = another_order(classes.argmax(1), tested.labels, data.class_names)
        class_accuracy = share_of((classes.argmax(1) == tested.labels) & tested.finite)
        taken = tested.answers == (-1 if subject.rubbish_class is None else subject.rubbish_class)
        rubbish = all_rubbish(accuracy, class_accuracy, data.n_classes, share_of(taken))
        unread = rubbish or at_chance(accuracy, tested.answers, data.class_names)
        thresholds: dict[Name, float] = {
            "asked": context.settings.confidence,
            "own": own_threshold(held_out.confidence[held_out.right], *(reordered or rubbish)),
        }
        reached, surest = tested.confidence, classes.amax(1)
        return CleanRow(
            part=self.name,
            noticed=noticed(data),
            warnings=[*unread, *reordered],
            clean=Clean(
                not_finite=int((~held_out.finite).sum()) + int((~tested.finite).sum()),
                accuracy=accuracy,
                class_accuracy=class_accuracy,
                validation_accuracy=share_of(held_out.right),
                calibration_error=calibration_error(
                    tested.probabilities[tested.finite], tested.labels[tested.finite]
                ),
                mean_confidence=classes[tested.finite].amax(1).mean().item(),
            ),
            limits=_limits(held_out_scores, test_scores),
            judge_accuracy=share_of(majority(seen) == tested.labels) if seen else None,
            judge_accuracies=[share_of(each == tested.labels) for each in seen],
            thresholds=[
                Threshold(
                    name=name,
                    confidence=value,
                    test_share=share_of(reached >= value),
                    any_class_share=share_of(surest >= value),
                )
                for name, value in thresholds.items()
            ],
        )


@dataclass(frozen=True, eq=False)
class _Read:
    """How N images of a split are read."""

    probabilities: Tensor
    """(N, K) float64; zeros where the model gave NaN or infinity."""
    finite: Tensor
    """(N,) bool."""
    labels: Tensor
    """(N,) int64."""

    @classmethod
    def of(cls, logits: Tensor, split: Labelled) -> "_Read":
        finite = logits.isfinite().all(1)
        # NaN is greater than anything to `argmax`; as zeros it is sure of nothing.
        return cls(logits.double().softmax(1).where(finite[:, None], 0), finite, split.labels)

    @property
    def right(self) -> Tensor:
        """Which images are read correctly, (N,) bool."""
        return (self.probabilities.argmax(1) == self.labels) & self.finite

    @property
    def answers(self) -> Tensor:
        """The outputs (M,) chosen for the images that are finite."""
        return self.probabilities[self.finite].argmax(1)

    @property
    def confidence(self) -> Tensor:
        """The probability of each image's label, (N,)."""
        return self.probabilities.gather(1, self.labels[:, None]).squeeze(1)


def _keep_real(context: Context, read: "_Read") -> None:
    """Store test images of different classes to be shown, with the model's answers."""
    labels = read.labels
    first = [int((labels == each).nonzero()[0]) for each in torch.unique(labels)]
    chosen = torch.tensor(first)[torch.linspace(0, len(first) - 1, min(_SHOWN, len(first))).long()]
    probabilities, subject = read.probabilities[chosen], context.subject
    confidence, answers = probabilities.max(1)
    images = context.data.test.read(chosen)
    made = pictures_of(subject.loaded, images)
    context.run.save_arrays(
        REAL,
        levels=to_levels(images).numpy(),
        labels=labels[chosen].numpy(),
        answers=answers.numpy(),
        confidence=confidence.float().numpy(),
        **_beside_rubbish(subject, probabilities),
        **({} if made is None else {"made": to_levels(made).numpy()}),
    )


def _beside_rubbish(subject: Subject, probabilities: Tensor) -> Arrays:
    """The likeliest class, and the rubbish class, of a model that has one."""
    if subject.rubbish_class is None:
        return {}
    confidence, predicted = subject.class_outputs(probabilities).max(1)
    return {
        "predicted": predicted.numpy(),
        "predicted_confidence": confidence.float().numpy(),
        "rubbish": probabilities[:, subject.rubbish_class].float().numpy(),
    }


def _keep(context: Context, **scores: Scores) -> None:
    """Store the scores by split: those of garbage are compared with them."""
    for split, found in scores.items():
        arrays = {name: each.numpy() for name, each in found.items()}
        context.run.save_arrays(scores_name(split), **arrays)


def _limits(held_out: Scores, test: Scores) -> list[Limit]:
    """The threshold of each score, and the shares of real images that reach it."""
    thresholds = {name: reached_by(held_out[name], KEPT) for name in SCORES if name in held_out}
    return [
        Limit(
            score=name,
            threshold=threshold,
            validation_share=share_of(held_out[name] >= threshold),
            test_share=share_of(test[name] >= threshold),
        )
        for name, threshold in thresholds.items()
        if name in test and math.isfinite(threshold)
    ]


_WRONG_ORDER = "Are its outputs the data's classes, in their order?"


def own_threshold(confidence: Tensor, hint: str = _WRONG_ORDER) -> float:
    """A model's own threshold: the confidence that 95% of its correctly read images reach.

    It stays within what `fool` can be asked for. Raises `InputError` when no image is read.

    Args:
        confidence: (N,), the probability of the label of each validation image that is read
            correctly.
        hint: what the reason may be.
    """
    if not len(confidence):
        raise InputError(
            f"model: expected some validation images to be read correctly, got none. {hint}"
        )
    return min(max(reached_by(confidence, KEPT), 1e-6), CERTAIN)
