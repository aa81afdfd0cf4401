"""A judge from the data alone: a small network that the audit trains and keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deceive.auditing.budget import Budget
from deceive.auditing.judge_training import EXAMINED, Shrinking, trained_on
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.loaded import AnyModel, Loaded
from deceive.auditing.models.wants import Wants
from deceive.common.errors import InputError
from deceive.common.progress import Task, Tick
from deceive.data.dataset import RealData
from deceive.judging.measures import NEAR_CHANCE, skill
from deceive.networks.guarded import Network
from deceive.storage.card import Card
from deceive.storage.models import load_card, load_network, save_network
from deceive.storage.runs import Run, weights_in

TRAIN = "train"
"""Stands for a judge that is trained on the data's training images."""

# The share of the budget that its training may take.
_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class TrainedJudge:
    """A judge that was trained for an audit, and is kept in its run folder."""

    network: Network
    card: Card

    @property
    def loaded(self) -> Loaded:
        """It, to be met like any other model."""
        return Loaded(
            TRAIN, "module", Shrinking(self.network), wants=Wants(scaling=Scaling((0.0, 1.0)))
        )

    @property
    def notes(self) -> list[str]:
        """How it was made, and how well it reads."""
        card = self.card
        height, width = card.image_shape[1:]
        return [
            f"The judge “{TRAIN}” is a small network that was trained on the training images for "
            f"{card.seconds:.0f} s, at {height}×{width} pixels. It reads "
            f"{card.validation_accuracy:.1%} of the validation images and {card.test_accuracy:.1%} "
            f"of the test images, of at most {EXAMINED:,} each."
        ]

    def keep(self, run: Run) -> None:
        """Store it in the run folder, so that a resumed audit has the same."""
        path = run.weights(TRAIN)
        if not path.is_file():
            save_network(self.network, path, self.card)


def trained_judge(
    data: RealData, folder: Path | None, *, seed: int, seconds: float, tick: Tick
) -> TrainedJudge:
    """The judge that a run folder holds, or else one that is trained now.

    The same seed gives the same judge, unless it would take longer than it may.

    Args:
        data: it learns from the training images.
        folder: the run folder, if there is one; it need not exist yet.
        seed: for its weights, the choice of images and their order.
        seconds: how long this may take, roughly, and unless it would learn next to nothing then.
        tick: called while it is trained.

    Raises:
        InputError: when there are no training images, or it reads no better than guessing.
    """
    path = None if folder is None else weights_in(folder, TRAIN)
    if path is not None and path.is_file():
        return TrainedJudge(load_network(path), load_card(path))
    if data.train is None or not len(data.train):
        raise InputError(
            "judge: expected data with training images to train one on, got none; name other "
            "models for the same data (--judge), or none"
        )
    judge = TrainedJudge(*trained_on(data, data.train, seed, seconds, tick))
    found = judge.card.validation_accuracy
    if skill(found, data.n_classes) < NEAR_CHANCE:
        raise InputError(
            f"judge: expected training images that a small network learns to read, got {TRAIN!r}, "
            f"which reads {found:.1%} of the validation images (guessing: {1 / data.n_classes:.1%})"
            "; give it more time (--budget), name other models for the same data, or none"
        )
    return judge


def with_trained(
    named: Sequence[AnyModel],
    data: RealData,
    out: Path | str | None,
    seed: int,
    limit: Budget,
    task: Task,
) -> tuple[list[AnyModel | Loaded], list[TrainedJudge]]:
    """The judges, with a trained one instead of `TRAIN`; and that one, if there is one.

    For the errors see `trained_judge`.
    """
    if TRAIN not in named:
        return [*named], []
    folder, seconds = None if out is None else Path(out), _SHARE * limit.left
    with task("training a judge") as report:
        judge = trained_judge(
            data, folder, seed=seed, seconds=seconds, tick=limit.listening(report)
        )
    chosen = [judge.loaded if isinstance(each, str) and each == TRAIN else each for each in named]
    return chosen, [judge]
