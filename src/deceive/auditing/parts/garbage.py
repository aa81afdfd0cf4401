"""Garbage: images that show none of the classes, and the model's answers to them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deceive.auditing.context import Context
from deceive.auditing.fitting_scores import stored_scorer
from deceive.auditing.garbage import GARBAGE, GarbageImages
from deceive.auditing.parts.part import Part
from deceive.auditing.record.measured import Garbage, Score
from deceive.auditing.record.rows import CurveRow, GarbageRow, SearchRow, typed_rows
from deceive.auditing.record.stored import garbage_name, load_curve, load_scores
from deceive.auditing.scoring import Scores
from deceive.auditing.shares import share_of
from deceive.common.levels import from_levels, to_levels
from deceive.common.progress import Tick
from deceive.data.dataset import First, Images, Stack
from deceive.judging.scores import auroc, fpr_at_tpr

# Images of each kind of garbage to keep for the report: those that the model is surest of.
_SHOWN = 10

OTHER_DATA = "other data"


@dataclass(frozen=True)
class GarbagePart:
    """A kind of garbage that is not optimised."""

    kind: str
    """From `GARBAGE`, or `other data`."""

    @property
    def name(self) -> str:
        """Its name in the run folder."""
        return f"garbage/{self.kind}"

    @property
    def words(self) -> str:
        """What it does."""
        return f"garbage: {self.kind}"

    def run(self, context: Context, tick: Tick) -> GarbageRow:
        """Run the model on such images."""
        count, seed = context.settings.garbage_images, context.settings.seed
        images: Images = GarbageImages(self.kind, count, context.data.test, seed)
        if self.kind == OTHER_DATA and context.other_data is not None:
            images = First(context.other_data.test, count)
        return GarbageRow(part=self.name, garbage=scored(context, self.kind, images, tick))


@dataclass(frozen=True)
class OptimisedPart:
    """The ends of all curves that the judges don't call the target. It comes last."""

    name: str = "garbage/optimised"
    words: str = "garbage: optimised"

    def run(self, context: Context, tick: Tick) -> GarbageRow:
        """Show the model those images. Where it has a gradient, searches are left out."""
        kinds = CurveRow if context.subject.module is not None else CurveRow | SearchRow
        ends = [_end(context, row) for row in typed_rows(context.run) if isinstance(row, kinds)]
        shape = context.data.image_shape
        images = torch.cat(ends) if ends else torch.empty(0, *shape)
        garbage = scored(context, "optimised", Stack(images), tick)
        return GarbageRow(part=self.name, garbage=garbage)


def garbage_parts(context: Context) -> list[Part]:
    """A part for each kind that is not optimised."""
    others = [] if context.other_data is None else [OTHER_DATA]
    return [GarbagePart(kind) for kind in (*GARBAGE, *others)]


def _end(context: Context, row: CurveRow | SearchRow) -> Tensor:
    """What is gibberish at the end of a curve, (N, C, H, W) in [0, 1]; all without judges."""
    stored = load_curve(context.run, row.followed, context.sizes)
    images = from_levels(torch.from_numpy(stored["levels"][-1]))
    if "judged" not in stored:
        return images
    return images[torch.from_numpy(stored["judged"][-1] != stored["targets"])]


def scored(context: Context, kind: str, images: Images, tick: Tick) -> Garbage:
    """What the model says about garbage; what it is surest of is kept to be shown."""
    subject, thresholds = context.subject, context.thresholds
    logits, scores = stored_scorer(context).ask(context, images, tick, f"garbage/{kind}")
    finite = logits.isfinite().all(1)
    counts = {"kind": kind, "images": len(images), "not_finite": int((~finite).sum())}
    if not finite.any():
        nothing = dict.fromkeys(("mean_confidence", "asked_share", "own_share", "caught"))
        return Garbage.model_validate(counts | nothing | {"scores": {}})
    numbers, logits = finite.nonzero()[:, 0], logits[finite]
    probabilities, rubbish = logits.double().softmax(1), subject.rubbish_class
    confidence, predicted = subject.class_outputs(probabilities).max(1)
    surest = confidence.argsort(descending=True)[:_SHOWN]
    context.run.save_arrays(
        garbage_name(kind),
        levels=to_levels(images.read(numbers[surest])).numpy(),
        predicted=predicted[surest].numpy(),
        confidence=confidence[surest].float().numpy(),
        **({} if rubbish is None else {"rubbish": probabilities[surest, rubbish].float().numpy()}),
    )
    return Garbage.model_validate(
        counts
        | {
            "mean_confidence": confidence.mean().item(),
            "asked_share": share_of(confidence >= thresholds["asked"]),
            "own_share": share_of(confidence >= thresholds["own"]),
            "caught": None if rubbish is None else share_of(logits.argmax(1) == rubbish),
            "scores": _against_real(context, scores),
        }
    )


def _against_real(context: Context, scores: Scores) -> dict[str, Score]:
    """How well each score tells the real images, whose scores are stored, from garbage."""
    held_out, test = (load_scores(context.run, split, scores) for split in ("validation", "test"))
    return {
        name: Score(
            auroc=auroc(torch.from_numpy(test[name]), found),
            fpr_at_95_tpr=fpr_at_tpr(torch.from_numpy(held_out[name]), found),
        )
        for name, found in scores.items()
    }
