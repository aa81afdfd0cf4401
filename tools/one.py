"""Put `one` together from the shipped networks that draw and resist: `python -m tools.one`.

Its scales and its budget come from the validation images.
"""

import time

import torch

from deceive.data.loading import load_data
from deceive.networks.building import network_of
from deceive.networks.coarse_to_fine import CoarseToFine
from deceive.networks.inference import logits_of
from deceive.storage.card import Card
from deceive.storage.models import load_card, load_network, save_network
from deceive.storage.shipped import shipped_folder

PARTS = {"drawing": "draw", "resisting": "resist"}

if __name__ == "__main__":
    started = time.perf_counter()
    data = load_data()
    cards = [load_card(name) for name in PARTS.values()]
    drawing, resisting = (load_network(name) for name in PARTS.values())
    network = network_of("one", cards[0].n_outputs, cards[0].image_shape).eval()
    assert isinstance(network, CoarseToFine)
    network.drawing.load_state_dict(drawing.state_dict())
    network.resisting.load_state_dict(resisting.state_dict())
    network.calibrate(data.validation.images, data.validation.labels)
    validation, test = (
        logits_of(network, split.images)[:, :-1].argmax(1).eq(split.labels).double().mean().item()
        for split in (data.validation, data.test)
    )
    card = Card(
        architecture=network.architecture,
        n_outputs=network.n_outputs,
        image_shape=network.image_shape,
        rubbish_class=network.n_outputs - 1,
        seed=0,
        settings={},
        parts=PARTS,
        ascent=cards[0].ascent,
        data_checksum=data.checksum,
        seconds=round(sum(card.seconds for card in cards) + time.perf_counter() - started, 2),
        validation_accuracy=validation,
        test_accuracy=test,
        command="python -m tools.one",
        torch=torch.__version__,
    )
    save_network(network, shipped_folder() / "one.safetensors", card)
