"""Calls of the public functions with damaged arguments, each an expression."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

import deceive
from deceive.common.errors import InputError
from soak import mutations
from soak.mutations import Random
from soak.readers.reader import Files, Wrong, interruptible

_NET = "deceive.load_network('net.safetensors')"

CALLS: dict[str, dict[str, str]] = {
    "deceive.fool": {
        "model": _NET,
        "targets": "range(4)",
        "confidence": "0.9",
        "count": "2",
        "start": "'uniform'",
        "steps": "5",
        "objective": "'log_odds'",
        "bounds": "(0.0, 1.0)",
        "seed": "0",
        "shape": "(1, 8, 8)",
        "trajectory": "False",
        "ascent": "deceive.Ascent()",
    },
    "deceive.climb": {
        "model": _NET,
        "images": "torch.zeros(4, 1, 8, 8)",
        "targets": "range(4)",
        "ascent": "deceive.Ascent()",
        "steps": "2",
        "begun": "torch.arange(4)",
        "seed": "0",
    },
    "deceive.draw": {
        "network": _NET,
        "targets": "[0, 1]",
        "count": "1",
        "seed": "0",
        "attempts": "1",
        "ascent": "deceive.Ascent(schedule={'steps': 3})",
    },
    "deceive.load_data": {"folder": "'data'", "validation": "60"},
    "deceive.open_data": {
        "place": "'data'",
        "preparation": "deceive.Preparation(size=(4, 4))",
        "seed": "0",
        "validation": "60",
        "any_labels": "False",
    },
    "deceive.as_data": {
        "data": "(torch.rand(40, 3, 8, 8), torch.arange(40) % 4)",
        "preparation": "deceive.Preparation(channels=1)",
        "seed": "0",
        "class_names": "('ant', 'bee', 'cow', 'dog')",
        "limit": "100",
    },
    "deceive.Preparation": {"channels": "3", "size": "None", "resize": "8", "crop": "(6, 6)"},
    "deceive.load_network": {"name": "'net.safetensors'"},
    "deceive.accuracy": {
        "model": _NET,
        "images": "torch.zeros(3, 1, 8, 8)",
        "labels": "torch.arange(3)",
    },
    "deceive.agreement": {
        "judge": _NET,
        "images": "torch.zeros(3, 1, 8, 8)",
        "targets": "torch.arange(3)",
    },
    "deceive.Classifier": {
        "architecture": "'fast'",
        "n_outputs": "4",
        "image_shape": "(1, 8, 8)",
        "mean": "0.5",
        "std": "0.25",
    },
    "deceive.Guarded": {
        "guard": "deceive.Classifier('guard', 5, (1, 8, 8))",
        "readers": "[deceive.Classifier('reader', 4, (1, 8, 8))]",
        "doubt": "0.01",
        "shifts": "((0, 0), (1, -1))",
        "architecture": "'resist'",
    },
    "deceive.RubbishSet": {"levels": "torch.zeros(3, 1, 8, 8, dtype=torch.uint8)"},
    "deceive.RubbishSet.of_noise": {"count": "3", "shape": "(1, 8, 8)", "seed": "0"},
    "deceive.Ascent": {"rule": "'momentum'", "step_size": "0.01", "schedule": "None"},
    "deceive.Schedule": {"steps": "3", "least_noise": "0.1"},
    "deceive.EmergingSettings": {"rounds": "3", "candidates": "4", "shown": "(0, 1)"},
    "deceive.ResistingSettings": {"rounds": "3", "candidates": "4", "starts": "('uniform',)"},
    "deceive.RetrainingSettings": {"rounds": "3", "candidates": "4", "epochs": "1.5"},
    "deceive.TrainingSettings": {"epochs": "1.0", "batch_size": "25", "rotation": "8.0"},
    "deceive.AuditSettings": {"confidence": "0.9", "candidates": "3", "ways": "('sign',)"},
    "deceive.Scaling": {"bounds": "(-1, 1)", "mean": "(0.5,)", "std": "(0.25,)"},
    "deceive.Interface": {"scaling": "None", "output": "'logits'", "rubbish_class": "10"},
    "deceive.fit": {
        "network": _NET,
        "images": "torch.rand(50, 1, 8, 8)",
        "labels": "torch.arange(50) % 4",
        "settings": "deceive.TrainingSettings(epochs=1, batch_size=25)",
        "seed": "0",
        "still": "None",
    },
    "deceive.save_network": {
        "network": _NET,
        "path": "Path('kept.safetensors')",
        "card": "load_card('net.safetensors')",
    },
    "deceive.export_onnx": {
        "network": _NET,
        "path": "'x.onnx'",
        "objective": "'margin'",
        "gradient": "False",
    },
    "deceive.audit": {
        "model": "'net.safetensors'",
        "data": "deceive.load_data('data', validation=60)",
        "judge": "None",
        "settings": "deceive.AuditSettings(candidates=1, steps=1, curve_candidates=1, searched=1, "
        "queries=100, garbage_images=10)",
        "interface": "deceive.Interface(deceive.Scaling((-1, 1)))",
        "other_data": "None",
        "budget": "0.01",
        "trust": "False",
    },
}
"""Valid calls, with the source text of each argument."""

_SETTINGS = ("deceive.Ascent", "deceive.Schedule", "deceive.EmergingSettings",
             "deceive.ResistingSettings", "deceive.RetrainingSettings",
             "deceive.TrainingSettings", "deceive.AuditSettings")  # fmt: skip


def call_of(name: str, arguments: dict[str, str]) -> Files:
    told = ", ".join(f"{key}={value}" for key, value in arguments.items())
    return {"call.py": f"{name}({told})".encode()}


def damage_call(files: Files, rng: Random) -> Files:
    name = rng.choice(sorted(CALLS))
    return call_of(name, mutations.change_call(CALLS[name], rng))


def read_call(folder: Path, rng: Random) -> None:
    """Evaluate the call; settings may raise pydantic's own error."""
    from pydantic import ValidationError

    from deceive.storage.models import load_card

    source = (folder / "call.py").read_text()
    names = {"deceive": deceive, "torch": torch, "np": np, "Path": Path, "load_card": load_card}
    name = source.partition("(")[0]
    try:
        with interruptible():
            given = eval(source, names)
    except KeyboardInterrupt:
        return
    except ValidationError as error:
        if name in _SETTINGS or "Settings(" in source or "Ascent(" in source:
            raise InputError(str(error)) from error
        raise
    if isinstance(given, deceive.FoolingResult):
        _check_result(given)
    elif isinstance(given, float) and not 0 <= given <= 10**6:
        raise Wrong(f"{name} gave {given}")


def _check_result(result: Any) -> None:
    if not bool(result.confidence.isfinite().all()) or result.images.ndim != 4:
        raise Wrong(f"confidences {result.confidence}, images {tuple(result.images.shape)}")
    if len({len(each) for each in (result.levels, result.targets, result.steps)}) != 1:
        raise Wrong("a result whose parts differ in length")
