"""The loop of the rounds: play, measure, keep; go back to the last checkpoint after trouble."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from deceive.common import arguments, processes
from deceive.common.checks import counted
from deceive.common.errors import InputError
from deceive.common.progress import Task
from deceive.data.dataset import Dataset
from deceive.networks.guarded import Network
from deceive.storage.kinds import Row
from deceive.storage.runs import Run
from deceive.teaching.checkpoint import load, save
from deceive.teaching.continual import Continual
from deceive.teaching.drawings import judged_drawings
from deceive.teaching.game import DivergedError, Game
from deceive.teaching.keeping import has_row, measured
from deceive.teaching.retraining import Retraining
from deceive.teaching.rows import ROUNDS
from deceive.teaching.settings import (
    ContinualSettings,
    EmergingSettings,
    ResistingSettings,
    RetrainingSettings,
    RoundsSettings,
    UnitingSettings,
)
from deceive.teaching.uniting import Uniting

# A run is saved at least this often, in rounds.
_OFTEN = 250

# A run that goes back more often would never finish.
_MOST_ROLLBACKS = 4


@arguments.taking(
    data=arguments.of("a Dataset", Dataset),
    run=arguments.of("a Run", Run),
    settings=arguments.of("RoundsSettings", RoundsSettings),
    judge=arguments.module,
    task=arguments.function,
)
def rounds(
    data: Dataset, run: Run, settings: RoundsSettings, judge: Network, task: Task
) -> Iterator[Row]:
    """Play the rounds that are missing in `run`, and yield the row of each measured one.

    In rounds in which digits emerge, the last row judges the final network's drawings, and in those
    that make one network of three the images that deceive it.

    An interrupted run continues from its last checkpoint, with the same results as without the
    interruption (bit for bit on the same machine, on a CPU). A run that diverges also goes back to
    its last checkpoint, and halves the learning rate.

    It runs on CUDA if available. With several processes (`processes.join`), all call this with the
    same arguments and get the same rows. The settings describe all processes together: each keeps
    its share of the rubbish set and of a round's candidates, and the network takes one step along
    the mean of their gradients. Only the main process reads and writes the run folder, which holds
    every process's share; a run has to continue with the number of processes it began with.

    Args:
        data: training images to learn from, validation and test images to measure on.
        run: a run folder, new or with the same settings.
        settings: an `EmergingSettings`, a `ResistingSettings`, a `RetrainingSettings` or a
            `UnitingSettings`; `PRESETS` holds the usual ones.
        judge: reads images of the data; never taught.
        task: called with a description when a piece of work begins; returns its progress reporter.

    Yields:
        Rows with a "part" ("round" or "quality"), a "round" and measures (`teaching.rows`).

    Raises:
        InputError: when it diverges again and again, or for settings that don't fit the data or the
            number of processes.
        LostProcessError: when another process is gone.

    >>> from contextlib import nullcontext
    >>> from pathlib import Path
    >>> import torch
    >>> import deceive
    >>> labels = torch.arange(200) % 2  # dark and bright images
    >>> images = 0.8 * labels[:, None, None, None] + 0.2 * torch.rand(200, 1, 8, 8)
    >>> split = deceive.Split(images, labels)
    >>> data = deceive.Dataset(split, split, split, n_classes=2, checksum="", folder=Path("mine"))
    >>> settings = deceive.EmergingSettings(
    ...     rounds=2, candidates=8, kept=16, shown=(0,), measured=1, judged=0, training_images=200
    ... )
    >>> from deceive.storage.runs import Run
    >>> run = Run(Path("run"), settings.model_dump(mode="json"))
    >>> judge = deceive.Classifier("judge", 2, (1, 8, 8)).eval()
    >>> silent = lambda description: nullcontext(lambda *progress: None)
    >>> [row["round"] for row in deceive.rounds(data, run, settings, judge, silent)]
    [0, 2]
    """
    run = run.of(ROUNDS)
    game = game_of(data, settings)
    checkpoint = run.folder / "checkpoint.safetensors"
    goes_on = processes.on_main(checkpoint.exists)
    if goes_on:
        load(game, checkpoint)
    with task(counted(settings.rounds, "round")) as tick:
        if not goes_on:
            tick(0, settings.rounds, "preparing")
            game.begin()
            save(game, checkpoint)  # so there is always a state to roll back to
        while True:
            # Measuring changes nothing, so a run that was cut off before it can catch up.
            if settings.is_shown(game.number) and not has_row(run, part="round", round=game.number):
                save(game, checkpoint)
                tick(game.number, settings.rounds, "measuring")
                yield measured(game, run, data, judge)
                tick(game.number, settings.rounds, game.news())
            if game.number >= settings.rounds:
                break
            try:
                game.play()
            except DivergedError as trouble:
                _roll_back(game, checkpoint, run, trouble)
            if game.number % _OFTEN == 0:
                save(game, checkpoint)
            tick(game.number, settings.rounds, game.news())
    if not isinstance(settings, EmergingSettings | UnitingSettings) or settings.judged == 0:
        return
    if not has_row(run, part="quality"):
        with task("judging its images"):
            row = judged_drawings(game.best(), run, data, judge, settings)
            processes.on_main(lambda: run.add({"part": "quality", "round": game.number} | row))
    yield cast(Row, processes.on_main(lambda: run.row(part="quality")))


def game_of(data: Dataset, settings: RoundsSettings) -> Game:
    """The game before its first round. Raises `InputError` if the settings don't fit the data."""
    settings.check(data)
    match settings:
        case RetrainingSettings():
            return Retraining(data, settings)
        case EmergingSettings() | ResistingSettings():
            return Continual(data, settings)
        case UnitingSettings():
            return Uniting(data, settings)
    raise TypeError(type(settings))


def _roll_back(game: Game, checkpoint: Path, run: Run, trouble: DivergedError) -> None:
    """Go back to the last checkpoint, and continue with a lower learning rate."""
    where = game.number
    rollbacks = game.rollbacks + 1
    if rollbacks > _MOST_ROLLBACKS:
        raise InputError(
            f"round {where}: expected a network that goes on learning, but {trouble}, for the "
            f"{rollbacks}th time; what was made so far is in {run.folder}"
        ) from trouble
    slowed = game.slowed / 2
    load(game, checkpoint)
    game.slow_down(slowed, rollbacks)
    save(game, checkpoint)
    row = {
        "part": "rollback",
        "round": where,
        "to": game.number,
        "because": str(trouble),
        "learning_rate": cast(ContinualSettings, game.settings).rate * slowed,
    }
    processes.on_main(lambda: run.add(row))
