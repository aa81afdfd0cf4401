"""What `deceive guard` leaves behind, made by hand: bands behind a guard."""

from pathlib import Path

import numpy as np

from deceive.auditing.models.interface import FOUND_OUT, as_json
from deceive.data.preparation import Preparation
from deceive.guarding.card import GuardCard, GuardedCard, ReaderCard, Set, write_card
from deceive.guarding.rows import GUARD
from deceive.guarding.settings import GuardSettings
from deceive.storage.runs import Run


def bands_card(
    threshold: float = 0.99, spec: str | None = "bands.py:make", keep: float = 0.9
) -> GuardedCard:
    """The card of bands behind a guard, made by hand."""
    return GuardedCard(
        deceive="1",
        data="bands",
        data_checksum="bands",
        class_names=list("0123"),
        image_shape=(1, 4, 4),
        preparation=Preparation(channels=1, size=(4, 4)),
        reader=ReaderCard(
            spec=spec,
            name="bands",
            format="python",
            white_box=True,
            interface=FOUND_OUT,
            prepared="grey, 4×4",
            trust=False,
            digests={},
        ),
        guard=GuardCard(source="resist", architecture="resist", seconds=120),
        settings=GuardSettings(keep=keep),
        set=Set(
            images=80,
            power=1,
            guard_doubt=0,
            expected=0,
            threshold=threshold,
            kept=0.95,
            reader_accuracy=0.991,
            accuracy=0.99,
            passing_accuracy=0.999,
        ),
        notes=[],
    )


def guard_folder(folder: Path) -> Run:
    """The folder of such a classifier, without audits; two real images don't pass."""
    card = bands_card()
    settings = {
        "model": card.reader.spec,
        "interface": as_json(FOUND_OUT),
        "data": card.data,
        "data_checksum": card.data_checksum,
        "use": None,
        "train": False,
        **card.settings.model_dump(mode="json"),
    }
    run = Run(folder, settings, GUARD)
    run.save_arrays(
        "refused",
        levels=np.zeros((2, 1, 4, 4), np.uint8),
        labels=np.array([1, 3]),
        alone=np.array([1, 3]),
        alone_confidence=np.array([0.9, 0.8]),
        answers=np.array([2, 3]),
        confidence=np.array([0.4, 0.3]),
    )
    run.add({"part": "guarded", "seconds": 1.0})
    write_card(card, folder)
    return run
