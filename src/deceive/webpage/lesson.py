"""What the panel Teach plays with: graphs of a narrow network, real digits, the settings."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel
from torch import nn

from deceive.common.files import replacing, write_text
from deceive.common.levels import to_levels
from deceive.data.dataset import Dataset, Split
from deceive.data.loading import load_data
from deceive.data.source import MNIST
from deceive.storage.stepping import export_training_step
from deceive.storage.taught import Taught, gradient_of, with_weights
from deceive.teaching.learner import WARMING
from deceive.teaching.settings import EmergingSettings
from deceive.training.averaging import YOUNG
from deceive.training.recipes import build_network
from deceive.webpage.built import checksum, read_own

LIVE = EmergingSettings(
    network="sketch",
    rounds=600,
    candidates=64,
    kept=256,
    learning_rate=3e-3,
    averaging=0.99,
    smoothness=0,
    clean_digits=0,
    training_images=5000,
)
"""The rounds that the page plays. The panel's figures are in web/README.md."""

_PACKAGE = Path(__file__).resolve().parents[1]
_EXPORTERS = ("networks/*.py", "storage/*.py", "fooling/objectives.py", "webpage/lesson.py")
_FILES = {
    "gradient": "gradient.onnx",
    "step": "step.onnx",
    "network": "network.onnx.part",
    "digits": "digits.gz",
}


def write_lesson(folder: Path, report: Callable[[str], None]) -> None:
    """Write the files of the panel into `folder`, and the list of them, where they are out of date.

    `gradient.onnx` and `step.onnx` are graphs whose weights are an input. `network.onnx.part` is
    the network as a file, with the weights cut out. `digits.gz` holds the labels of some training
    images of MNIST, then their pixels, one byte each. `lesson.json` has the rest.
    """
    made_of = checksum(path for files in _EXPORTERS for path in _PACKAGE.glob(files))
    if read_own(folder / "lesson.json").get("madeOf") == made_of and all(
        (folder / name).is_file() for name in _FILES.values()
    ):
        return
    report("exporting the network that visitors teach")
    folder.mkdir(parents=True, exist_ok=True)
    data = load_data(MNIST.folder()).first(LIVE.training_images)
    network = build_network(LIVE.network, data, seed=LIVE.seed, rubbish_class=True).eval()
    taught = Taught(network, None)
    gradient = gradient_of(taught)
    _write(folder / _FILES["gradient"], gradient.SerializeToString(deterministic=True))
    export_training_step(network, folder / _FILES["step"])
    content = with_weights(gradient, taught.weights).SerializeToString(deterministic=True)
    weights = taught.weights.numpy().tobytes()
    offset = content.index(weights)
    _write(folder / _FILES["network"], content[:offset] + content[offset + len(weights) :])
    _write(folder / _FILES["digits"], _packed(data.train))
    described = {
        "files": _FILES,
        "offset": offset,
        "parameters": _beginnings(network),
        "settings": _settings(data),
        "madeOf": made_of,
    }
    write_text(folder / "lesson.json", json.dumps(described, indent=1) + "\n")


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _packed(split: Split) -> bytes:
    levels = to_levels(split.images).numpy()
    return gzip.compress(split.labels.byte().numpy().tobytes() + levels.tobytes(), 9, mtime=0)


def _settings(data: Dataset) -> dict[str, Any]:
    """The settings, by the names that JavaScript gives them."""
    named = ("candidates", "kept", "steps", "rounds", "learning_rate", "averaging")
    chosen = {to_camel(name): getattr(LIVE, name) for name in named}
    ascent = LIVE.ascent.model_dump()
    ascent["schedule"] = _in_camel_case(ascent["schedule"])
    return chosen | {
        "ascent": _in_camel_case(ascent),
        "warming": WARMING,
        "young": YOUNG,
        "digits": LIVE.training_images,
        "classes": data.n_classes,
    }


def _in_camel_case(settings: dict[str, Any]) -> dict[str, Any]:
    return {to_camel(key): value for key, value in settings.items()}


def _beginnings(network: nn.Module) -> list[dict[str, Any]]:
    """How each parameter begins in an untaught network: uniform up to a bound, as torch does it."""
    bounds = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            inputs = module.weight[0].numel()
            for own, parameter in module.named_parameters(recurse=False):
                bounds[f"{name}.{own}"] = inputs**-0.5 if parameter.any() else 0
    return [
        {"count": parameter.numel(), "bound": bounds[name]}
        for name, parameter in network.named_parameters()
    ]
