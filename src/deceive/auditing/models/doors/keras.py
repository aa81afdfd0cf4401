"""Models of Keras 3: `keras:FILE`, `.keras`, `.h5`, or the object itself."""

import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from deceive.auditing.models.arranging import LAYOUTS
from deceive.auditing.models.digests import sha256_of
from deceive.auditing.models.interface import Scaling
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.wants import declared_shape
from deceive.common.errors import InputError
from deceive.common.files import read_errors

# A rescaling by less than this is of levels: 1/255 to [0, 1], 1/127.5 to [-1, 1].
_OF_LEVELS = 0.01

SUFFIXES = (".keras", ".h5", ".hdf5")


def load(place: str, *, trust: bool) -> Loaded:
    """The model of a file. Without another choice (`KERAS_BACKEND`), it runs on PyTorch.

    Args:
        place: a `.keras` or `.h5` file.
        trust: open files with Lambda layers, which are code.

    Raises:
        InputError: when Keras isn't installed, or it can't read the file.
    """
    path = Path(place)
    with read_errors(path):
        path.open("rb").close()
    keras = _keras(path)
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:  # Keras' have no common class
        line = " ".join(str(error).split())[:200]
        hint = "" if trust else "; pass --trust if it has Lambda layers and you trust its author"
        raise InputError(f"{path}: expected a model that Keras can read; {line}{hint}") from error
    digest = sha256_of(path)
    return _loaded(model, path.stem, digest, {path.name: digest})


def is_keras(model: Any) -> bool:
    """Whether it is a model of Keras, which then has been imported."""
    keras = sys.modules.get("keras")
    return keras is not None and hasattr(keras, "Model") and isinstance(model, keras.Model)


def of_object(model: Any) -> Loaded:
    """A model given as an object."""
    import keras

    digest = hashlib.sha256()
    for weight in model.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight.value)).tobytes())
    return _loaded(model, str(model.name), digest.hexdigest(), {})


def _keras(path: Path) -> Any:
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise InputError(
            f"{path}: expected Keras 3 to read it with; pip install 'deceive[keras]' ({error})"
        ) from error
    return keras


def _loaded(model: Any, name: str, digest: str, digests: dict[str, str]) -> Loaded:
    if len(model.inputs or [None]) != 1:
        named = ", ".join(each.name for each in model.inputs)
        raise InputError(f"model: expected one input, of images, got {named}")
    shape = tuple(model.input_shape)[1:] if model.inputs else ()
    wants, layout = declared_shape(shape, last=True)
    wants = replace(wants, scaling=_scaling(model))
    import keras

    on_torch = keras.backend.backend() == "torch"
    made = KerasModule(model, layout) if on_torch else KerasFunction(model, layout)
    return Loaded(name, "Keras", made, digest, digests, wants=wants)


def _scaling(model: Any) -> Scaling | None:
    """Levels 0 to 255, where the model begins by rescaling these; None where it doesn't."""
    layers = [each for each in model.layers if type(each).__name__ != "InputLayer"]
    if not layers or type(layers[0]).__name__ != "Rescaling":
        return None
    scale = layers[0].scale
    return Scaling((0, 255)) if isinstance(scale, float) and 0 < scale < _OF_LEVELS else None


class KerasModule(nn.Module):
    """A model of Keras on PyTorch: its gradient can be followed."""

    def __init__(self, model: Any, layout: str) -> None:
        super().__init__()
        # In a tuple: it is in evaluation mode whenever it is told so, and nothing in it changes.
        self._held, self._layout = (model,), layout

    def __deepcopy__(self, memo: dict[int, Any]) -> "KerasModule":
        """Itself, as nothing in it changes."""
        return self

    def forward(self, images: Tensor) -> Any:
        """What the model gives for images (N, C, H, W)."""
        (model,) = self._held
        return model(LAYOUTS[self._layout](images), training=False)


class KerasFunction:
    """A model of Keras on another backend: a black box."""

    def __init__(self, model: Any, layout: str) -> None:
        self._model, self._layout = model, layout

    def __call__(self, images: Tensor) -> Any:
        """What the model gives for images (N, C, H, W), as arrays."""
        return self._model.predict_on_batch(LAYOUTS[self._layout](images).cpu().numpy())
