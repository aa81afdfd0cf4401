"""Makes `one` of the shipped networks that draw and resist, in rounds: `python -m tools.one`."""

import time

import torch

from deceive.cli.screen import task
from deceive.data.loading import load_data
from deceive.judging.measures import digit_accuracy
from deceive.networks.building import network_of
from deceive.networks.coarse_to_fine import CoarseToFine
from deceive.storage.card import Card
from deceive.storage.models import halved, load_card, load_network, save_network
from deceive.storage.shipped import shipped_folder
from deceive.teaching.uniting import Uniting

ROUNDS = 1500


def put_together() -> CoarseToFine:
    """`draw` and `resist` in one, as they are."""
    network = network_of("one", 11).eval()
    assert isinstance(network, CoarseToFine)
    network.drawing.load_state_dict(load_network("draw").state_dict())
    network.resisting.load_state_dict(load_network("resist").state_dict())
    return network


def main() -> None:
    """Teach them together, and save the whole with its card."""
    started, data = time.perf_counter(), load_data()
    cards = [load_card(name) for name in ("draw", "resist")]
    ascent = cards[0].ascent
    assert ascent is not None
    uniting = Uniting(put_together(), data, ascent, count=ROUNDS, seed=0)
    with task("rounds", transient=True) as tick:
        while uniting.number < ROUNDS:
            uniting.play()
            tick(uniting.number, ROUNDS, f"{uniting.fooled:.0%} fool it")
    network = halved(uniting.finished())
    validation, test = (
        digit_accuracy(network, split.images, split.labels, data.n_classes)
        for split in (data.validation, data.test)
    )
    card = Card(
        architecture=network.architecture,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=network.n_outputs - 1,
        seed=0,
        settings={"rounds": ROUNDS},
        ascent=ascent,
        data_checksum=data.checksum,
        seconds=round(sum(card.seconds for card in cards) + time.perf_counter() - started, 2),
        validation_accuracy=validation,
        test_accuracy=test,
        command="python -m tools.one",
        torch=torch.__version__,
    )
    save_network(network, shipped_folder() / "one.safetensors", card, half=True)


if __name__ == "__main__":
    main()
