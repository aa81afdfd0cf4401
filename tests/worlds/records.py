"""What commands leave behind, made by hand: an audit.json, the folder of a study, a card."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deceive.auditing.settings import QUICK
from deceive.storage.card import Card
from deceive.storage.runs import Run

OUTCOME = {"threshold": "asked", "candidates": 210, "fooling_rate": 1.0, "median": 7.5}

LIMIT = {"score": "msp", "threshold": 3.5, "validation_share": 0.95, "test_share": 0.948}

JUDGE = {"name": "judge", "accuracy": 0.9967, "bounds": [0, 1], "mean": None, "std": None}


def audit_content(
    name: str = "fast", asked: float = 0.8, own: float = 0.5, box: str = "white", **changes: Any
) -> dict[str, Any]:
    """An audit.json, made by hand, with these gibberish rates; `changes` replace whole fields."""
    outcomes = [
        OUTCOME | {"gibberish_rate": asked},
        OUTCOME | {"threshold": "own", "gibberish_rate": own},
    ]
    return {
        "schema_version": 4,
        "deceive": "0.1.0",
        "command": f"deceive audit {name}",
        "complete": True,
        "missing": [],
        "failures": [],
        "warnings": [],
        "notes": [],
        "model": {
            "name": name,
            "format": "safetensors",
            "white_box": box == "white",
            "n_outputs": 10,
            "rubbish_class": None,
            "image_shape": [1, 28, 28],
            "prepared": "grey, 28×28, pixels from 0 to 1",
            "bounds": [0, 1],
            "mean": None,
            "std": None,
            "output": None,
            "answers": "logits",
            "fingerprint": "ab" * 32,
            "training_seconds": 39.8,
        },
        "data": {
            "name": "mnist",
            "checksum": "c6",
            "n_classes": 10,
            "class_names": list("0123456789"),
            "validation_images": 5000,
            "test_images": 10000,
            "other_data": None,
        },
        "judges": [dict(JUDGE)],
        "judge_accuracy": 0.9967,
        "settings": QUICK.model_dump(),
        "planned": QUICK.model_dump(),
        "reductions": [],
        "clean": {
            "not_finite": 0,
            "accuracy": 0.99534,
            "class_accuracy": 0.99534,
            "validation_accuracy": 0.9956,
            "calibration_error": 0.002,
            "mean_confidence": 0.996,
        },
        "thresholds": [
            {"name": "asked", "confidence": 0.99, "test_share": 0.97},
            {"name": "own", "confidence": 0.99763, "test_share": 0.93},
        ],
        "headlines": [{"box": box, "outcomes": outcomes}],
        "attacks": [],
        "curves": [],
        "garbage": [
            {
                "kind": "uniform",
                "images": 2000,
                "not_finite": 0,
                "mean_confidence": 0.5,
                "asked_share": 0.1,
                "own_share": 0.0,
                "caught": None,
                "scores": {"msp": {"auroc": 0.91234, "fpr_at_95_tpr": 0.2}},
            }
        ],
        "limits": [dict(LIMIT)],
        "advice": {"limit": dict(LIMIT), "stopped": {"uniform": 0.8}},
        "resemblance": {
            "images": 100,
            "compared_with": 2000,
            "nearest": 0.31,
            "real_nearest": 0.19,
            "high_frequencies": 0.42,
            "real_high_frequencies": 0.03,
            "alike": 0.0,
        },
        "seconds": 57.4,
    } | changes


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Levels of grey."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ten(seed: int = 0, fooled: int = 10) -> dict[str, NDArray[Any]]:
    """The study's arrays of ten candidates; the first `fooled` fool the network."""
    took = np.arange(10) < fooled
    return {
        "levels": noise(10, 1, 28, 28, seed=seed),
        "targets": np.arange(10),
        "confidence": np.where(took, 0.9934, 0.4567).astype(np.float32),
        "fooled": took,
        "steps": np.arange(10),
    }


STUDY = {
    "network": "fast",
    "judge": "judge",
    "epochs": None,
    "training_images": 55_000,
    "confidence": 0.99,
    "candidates": 100,
    "steps": 1000,
    "noise_images": 6000,
    "fooling_images": 3000,
    "seed": 7,
    "data_checksum": "c65580678af9",
}


def fooling(rate: float, median: float, agreement: float = 0.113) -> dict[str, Any]:
    """The fields of a row that says how many candidates fooled."""
    return {
        "candidates": 1000,
        "start": "uniform",
        "confidence": 0.99,
        "fooling_rate": rate,
        "median_steps": median,
        "judge_agreement": agreement,
        "chance": 0.1,
    }


STUDY_ROWS: list[dict[str, Any]] = [
    {
        "part": "classifier",
        "network": "fast",
        "training_seconds": 55.5,
        "validation_accuracy": 0.9955,
        "test_accuracy": 0.9961,
        "seconds": 60.0,
    },
    {"part": "fooling", "network": "fast", "seconds": 6.0} | fooling(0.998, 12.5),
    {
        "part": "rubbish",
        "stage": 1,
        "name": "uniform noise",
        "rubbish_images": 6000,
        "test_accuracy": 0.9947,
        "test_accuracy_digits": 0.9948,
        "caught": 0.7,
        "caught_all": 0.653,
        "seconds": 70.0,
    }
    | fooling(0.987, 31.0, 0.097),
    {
        "part": "rubbish",
        "stage": 2,
        "name": "fooling images",
        "rubbish_images": 9000,
        "test_accuracy": 0.9931,
        "test_accuracy_digits": 0.9939,
        "caught": 0.9,
        "caught_all": 0.892,
        "seconds": 104.0,
    }
    | fooling(0.876, 50.0, 0.085),
    {"part": "done", "seconds": 240.0},
]


def study_folder(folder: Path, parts: int = 5, settings: dict[str, Any] = STUDY) -> Run:
    """A run as a study leaves it after so many parts."""
    run = Run(folder, settings)
    if parts > 1:
        run.save_arrays("mnist_confidence", **ten(1))
        run.save_arrays(
            "filmstrip",
            levels=noise(9, 1, 28, 28),
            confidence=np.linspace(0.03, 0.991, 9),
            target=np.array(5),
        )
    if parts > 2:
        taken = {"predicted": np.array([10] * 7 + [3, 4, 10]), "predicted_confidence": np.ones(10)}
        run.save_arrays("improved_model_predictions", **ten(1), **taken)
        run.save_arrays("deceive_improved", **ten(2))
    if parts > 3:
        run.save_arrays("second_mispredicted", **ten(3, fooled=6))
    for row in STUDY_ROWS[:parts]:
        run.add(row)
    return run


CARD = Card(
    architecture="fast",
    n_outputs=10,
    image_shape=(1, 28, 28),
    seed=0,
    settings={"epochs": 1.0},
    data_checksum="0",
    seconds=1,
    validation_accuracy=0.5,
    test_accuracy=0.5,
    command="deceive train",
    torch="2",
)
