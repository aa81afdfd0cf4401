"""A model given as an object, in Python or by a factory."""

import sys
from typing import Any

from torch import nn

from deceive.auditing.models.digests import fingerprint
from deceive.auditing.models.doors import estimators, huggingface, keras, sessions, timm
from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.wants import NOTHING, Wants
from deceive.common.errors import InputError


def of_object(model: Any) -> Loaded | None:
    """The model that an object is; None for anything else."""
    if keras.is_keras(model):
        return keras.of_object(model)
    if isinstance(model, nn.Module):
        name, wants = type(model).__name__, _configured(model)
        return Loaded(name, "module", _with_weights(model), fingerprint(model), wants=wants)
    if sessions.is_session(model):
        return sessions.load(model)
    if estimators.is_estimator(model):
        return estimators.load(model)
    if callable(model):
        return Loaded(getattr(model, "__name__", type(model).__name__), "callable", model)
    return None


def _configured(model: nn.Module) -> Wants:
    """What the configuration says that transformers and timm keep in their modules."""
    if hasattr(getattr(model, "config", None), "id2label"):
        return huggingface.wants_of(model.config, {})
    library = sys.modules.get("timm")
    if library is not None and isinstance(getattr(model, "pretrained_cfg", None), dict):
        return timm.wants_of(library, model)
    return NOTHING


def _with_weights(model: nn.Module) -> nn.Module:
    """The module. Raises `InputError` if some of its tensors have no data."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise InputError(
                f"model: expected weights, got {name!r} on the device “meta”, which holds none; "
                "call to_empty(device='cpu') and load_state_dict, or build the model elsewhere"
            )
    return model
