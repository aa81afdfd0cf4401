"""Classifiers of scikit-learn, and others with its methods, given by a factory or in Python."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.wants import Wants
from deceive.common.errors import InputError


def is_estimator(model: Any) -> bool:
    """Whether it is a fitted or unfitted classifier with scikit-learn's methods."""
    return not isinstance(model, type) and hasattr(model, "fit") and hasattr(model, "predict")


def load(model: Any) -> Loaded:
    """The classifier as a function of flat images.

    `predict_proba` is asked, else `decision_function`. The names of its classes are its `classes_`.

    Raises:
        InputError: when it has neither, or isn't fitted.
    """
    name = type(model).__name__
    classes = getattr(model, "classes_", None)
    if classes is None:
        raise InputError(f"model: expected a fitted classifier, got {name} without classes_")
    if not (hasattr(model, "predict_proba") or hasattr(model, "decision_function")):
        raise InputError(
            f"model: expected a classifier with predict_proba or decision_function, got {name}"
        )
    pixels = getattr(model, "n_features_in_", None)
    wants = Wants(pixels=pixels, class_names=_names(classes), source="its number of features")
    return Loaded(name, "scikit-learn", Estimator(model), wants=wants)


def _names(classes: Any) -> tuple[str, ...] | None:
    """The labels that are texts; numbers stand for themselves."""
    listed = list(classes)
    return tuple(listed) if all(isinstance(each, str) for each in listed) else None


class Estimator:
    """A classifier of scikit-learn as a function of images."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._ask = getattr(model, "predict_proba", None) or model.decision_function

    def __call__(self, images: Tensor) -> NDArray[Any]:
        """Probabilities or margins (N, K) of images (N, C, H, W)."""
        scores = np.asarray(self._ask(images.flatten(1).cpu().numpy()))
        if scores.ndim == 1:  # of two classes, the margin of the second
            return np.stack([np.zeros_like(scores), scores], 1)
        return scores
