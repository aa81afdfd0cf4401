"""Images that fool a shipped network, tried on the model: an attack without any query."""

from dataclasses import dataclass

import numpy as np

from deceive.auditing.candidates import start_images, targets_of
from deceive.auditing.context import Context
from deceive.auditing.grouping import arrays_name
from deceive.auditing.keeping import keep_outcomes
from deceive.auditing.models.formats import load_model
from deceive.auditing.models.meeting import meet
from deceive.auditing.models.sameness import same_network
from deceive.auditing.parts.part import Part
from deceive.auditing.record.rows import Attacked, AttackRow
from deceive.common.arrays import Arrays
from deceive.common.progress import Tick
from deceive.fooling.fool import fool
from deceive.networks.inference import confidence_of
from deceive.storage.models import load_card, load_network
from deceive.storage.shipped import shipped_names

SURROGATES = ("fast", "study")
"""The shipped networks whose fooling images are tried on others."""

# How sure a surrogate is made of its images.
_SURE = 0.9999


@dataclass(frozen=True)
class TransferPart:
    """Images that fool one shipped network, each tried once on the model."""

    surrogate: str

    @property
    def name(self) -> str:
        """Its name in the run folder."""
        return f"transfer/{self.surrogate}"

    @property
    def words(self) -> str:
        """What it does."""
        return f"images that fool {self.surrogate}"

    def run(self, context: Context, tick: Tick) -> AttackRow:
        """Make the images, and ask the model about each."""
        numbers = range(context.settings.searched)
        data, seed = context.data, context.settings.seed
        targets = targets_of(numbers, data.n_classes, len(numbers))
        made = fool(
            load_network(self.surrogate),
            targets,
            start=start_images("uniform", numbers, targets, data.validation, seed),
            confidence=_SURE,
            callback=lambda now: tick(now.finished, now.total),
        )
        confidence = confidence_of(context.ask_finite(made.images, tick), targets).numpy()
        arrays: Arrays = {}
        for threshold, asked in context.thresholds.items():
            arrays |= {
                f"{threshold}_levels": made.levels.numpy(),
                f"{threshold}_confidence": confidence,
                f"{threshold}_fooled": confidence >= asked,
                f"{threshold}_steps": np.ones(len(targets), np.int64),
            }
        attacked = Attacked(
            name=f"made for {self.surrogate}",
            box="black",
            start="uniform",
            arrays=arrays_name(self.name),
        )
        keep_outcomes(context, attacked, targets, arrays, tick)
        return AttackRow(part=self.name, attacked=attacked)


def _reads(name: str, context: Context) -> bool:
    """Whether a shipped network was trained on this data, as the audit shows it."""
    card, data = load_card(name), context.data
    return card.data_checksum == data.checksum and card.image_shape == data.image_shape


def transfer_parts(context: Context) -> list[Part]:
    """A part for each surrogate."""
    if not context.settings.searched:
        return []
    names = surrogates_of(context) if context.surrogates is None else context.surrogates
    return [TransferPart(name) for name in names]


def surrogates_of(context: Context) -> tuple[str, ...]:
    """The shipped networks of this very data, except the model and its only judge."""
    taken = [context.subject, *(context.judges if len(context.judges) == 1 else ())]
    fitting = [name for name in SURROGATES if name in shipped_names() and _reads(name, context)]
    networks = {name: meet(load_model(name), context.data) for name in fitting}
    return tuple(
        name
        for name, network in networks.items()
        if not any(same_network(network, each, context.data) for each in taken)
    )
