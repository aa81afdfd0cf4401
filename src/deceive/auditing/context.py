"""The state that all parts of an audit share."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from deceive.auditing.features import Head, head_of
from deceive.auditing.grouping import in_groups
from deceive.auditing.judges import majority
from deceive.auditing.models.subject import Subject
from deceive.auditing.record.planned import WHOLE, Groups
from deceive.auditing.record.rows import CleanRow
from deceive.auditing.record.stored import ANSWERS, Sizes, sizes_of
from deceive.auditing.settings import AuditSettings
from deceive.common.arrays import Arrays
from deceive.common.errors import InputError
from deceive.common.progress import Tick
from deceive.data.dataset import Images, RealData, Stack
from deceive.networks.frozen import FrozenCopy
from deceive.networks.inference import batch_for
from deceive.storage.runs import Run

# Images that show where a model's features are.
_SHOWING = 8


@dataclass(frozen=True, eq=False)
class Context:
    """The audited model, the data and judges, how much to do, and where results are kept."""

    subject: Subject
    """The audited model."""
    data: RealData
    """Real images of its classes."""
    judges: tuple[Subject, ...]
    """Other models for the same data."""
    settings: AuditSettings
    run: Run
    """Holds the arrays, and the rows of earlier parts."""
    other_data: RealData | None = None
    """Images of other things."""
    groups: Groups = WHOLE
    """How much is done before it is kept."""
    surrogates: tuple[str, ...] | None = None
    """The shipped networks whose fooling images are tried on the model; None before it is known."""
    exactly: bool = False
    """Whether gradients are worked out in float32."""

    @cached_property
    def climbed(self) -> FrozenCopy:
        """The copy of the model whose gradient all attacks follow.

        Raises `InputError` for a black box.
        """
        if self.subject.module is None:
            raise InputError("model: expected one with a gradient, got a black box")
        net = FrozenCopy(self.subject.module, self.data.validation.read(slice(1)))
        net.manner = self.subject.manner
        if self.exactly:
            net.work_exactly()
        return net

    @cached_property
    def head(self) -> Head | None:
        """The layer of the model whose features are seen; None if there is none."""
        return head_of(self.subject, self.data.validation.read(slice(_SHOWING)))

    @property
    def sizes(self) -> Sizes:
        """The sizes of stored arrays."""
        return sizes_of(self.data.image_shape, self.data.n_classes)

    @property
    def thresholds(self) -> dict[str, float]:
        """The confidences `asked` and `own`. Raises `InputError` if part `clean` isn't done yet."""
        row = self.run.row(part="clean")
        if row is None:
            raise InputError(
                "model: expected thresholds, which real images set first, got none yet"
            )
        return {each.name: each.confidence for each in CleanRow.model_validate(row).thresholds}

    def ask(self, model: Subject, images: Images, tick: Tick, keep: str | None = None) -> Tensor:
        """Logits (N, K); ticks before every batch.

        Args:
            model: the audited one or a judge.
            images: to ask about.
            tick: called with the number of images done and to be done.
            keep: the name of a part; then answers are kept group by group until it is whole.
        """
        batch, numbers = batch_for(images.image_shape), range(len(images))

        def asked(some: range) -> Arrays:
            logits = []
            for first in some[::batch]:
                tick(first, len(images))
                logits.append(
                    model.logits(images.read(slice(first, min(first + batch, some.stop))))
                )
            return {"logits": torch.cat(logits).numpy()}

        size = len(numbers) if keep is None else self.groups.questions
        groups = in_groups(self.run, keep or "", numbers, max(size, 1), asked, ANSWERS)
        return torch.cat([torch.from_numpy(each["logits"]) for each in groups])

    def ask_finite(self, images: Tensor, tick: Tick) -> Tensor:
        """The audited model's logits (N, K). Raises `InputError` for NaN or infinity."""
        logits = self.ask(self.subject, Stack(images), tick)
        if not logits.isfinite().all():
            raise InputError("model: expected finite logits, got NaN or infinity")
        return logits

    def seen(self, images: Images, tick: Tick, keep: str | None = None) -> list[Tensor]:
        """The class (N,) that each judge sees in each image; rubbish classes are ignored.

        `keep` as in `ask`.
        """
        answers = [
            (judge, self.ask(judge, images, tick, None if keep is None else f"{keep}/{place}"))
            for place, judge in enumerate(self.judges)
        ]
        return [judge.class_outputs(logits).argmax(1) for judge, logits in answers]

    def judged(self, images: Tensor, tick: Tick) -> Tensor:
        """The class (N,) that a majority of the judges sees in each image, or `UNDECIDED`."""
        return majority(self.seen(Stack(images), tick))
