"""Keeping the results of a round: its images, its network with a card, and its row."""

from typing import Any

import torch

from deceive.common import processes
from deceive.data.dataset import Dataset
from deceive.fooling.result import FoolingResult
from deceive.judging.measures import digit_accuracy
from deceive.networks.guarded import Network
from deceive.storage.card import Card
from deceive.storage.kinds import Row
from deceive.storage.models import save_network
from deceive.storage.runs import Run, arrays_of, round_name
from deceive.teaching.game import Game
from deceive.teaching.measuring import made, worth
from deceive.teaching.presets import command_of


def has_row(run: Run, **like: Any) -> bool:
    """Whether there is a row with these values, according to the main process."""
    return processes.on_main(lambda: run.row(**like) is not None)


def measured(game: Game, run: Run, data: Dataset, judge: Network) -> Row:
    """The row of a round, kept in the run with its images and its network."""
    network = game.best()
    images = made(network, game.data, game.settings)
    return processes.on_main(lambda: _kept(game, network, images, run, data, judge))


def _kept(
    game: Game, network: Network, images: FoolingResult, run: Run, data: Dataset, judge: Network
) -> Row:
    run.save_arrays(round_name(game.number), **arrays_of(images))
    row: Row = {"part": "round", "round": game.number, "seconds": round(game.seconds, 2)}
    row |= worth(network, images, game.data, judge, game.settings) | game.tally(network)
    for name, split in (("validation", data.validation), ("test", data.test)):
        row[f"{name}_accuracy"] = digit_accuracy(
            network, split.images, split.labels, data.n_classes
        )
    card = _card(game, network, data, row)
    save_network(network, run.weights(round_name(game.number)), card, half=True)
    return run.add(row)


def _card(game: Game, network: Network, data: Dataset, row: Row) -> Card:
    settings = game.settings.model_dump(exclude={"ascent", "shown"}, exclude_none=True)
    if "starts" in settings:
        settings["starts"] = " ".join(settings["starts"])
    return Card(
        architecture=network.architecture,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=data.n_classes,
        seed=game.settings.seed,
        settings=settings,
        ascent=game.ascent,
        start=game.start,
        round=game.number,
        data_checksum=data.checksum,
        seconds=row["seconds"],
        validation_accuracy=row["validation_accuracy"],
        test_accuracy=row["test_accuracy"],
        command=command_of(game.settings, data),
        torch=torch.__version__,
    )
