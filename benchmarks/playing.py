"""Rounds in a temporary folder, for contests that need only the trained network."""

import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.contest import Row
from deceive.data.dataset import Dataset
from deceive.networks.classifier import Classifier
from deceive.storage.models import load_network
from deceive.storage.runs import Run, round_name
from deceive.teaching import EmergingSettings, rounds
from deceive.teaching.rows import ROUNDS

# Images are drawn with these seeds, one for each seed of training; nothing is trained with them.
FRESH = 3_000_003

# How `draw` is told to take every image as the rounds make it: neither polished nor drawn again,
# and along their own steps.
AS_THEY_COME: dict[str, Any] = {"polish": None, "accepted": None, "substeps": 1}


def played(data: Dataset, settings: EmergingSettings, judge: Any = None) -> tuple[Classifier, Row]:
    """The network after all rounds of these settings, and a row about them.

    Its `seconds` count only the time in which images and network changed. The judge is the one that
    the settings name, unless another is given.
    """
    judge = judge or load_network(settings.judge)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), settings.model_dump(mode="json"), ROUNDS)
        *_, last = rounds(data, run, settings, judge, lambda words: nullcontext(_silent))
        network = load_network(run.weights(round_name(last["round"])))
        rollbacks = sum(row["part"] == "rollback" for row in run.rows())
    return network, {
        "seconds": last["seconds"],
        "rounds": last["round"],
        "rollbacks": rollbacks,
        "validation_accuracy": last["validation_accuracy"],
        "test_accuracy": last["test_accuracy"],
    }


def _silent(done: float, total: float, note: str = "") -> None:
    """Report no progress."""
