"""Sessions of ONNX Runtime, given by a factory or in Python."""

import sys
from typing import Any

from deceive.auditing.models.loaded import Loaded
from deceive.auditing.models.onnx_model import OnnxModel


def is_session(model: Any) -> bool:
    """Whether it is an `InferenceSession`, whose package then has been imported."""
    runtime = sys.modules.get("onnxruntime")
    return runtime is not None and isinstance(model, runtime.InferenceSession)


def load(session: Any) -> Loaded:
    """The model of a session."""
    network = OnnxModel(session, "model")
    return Loaded("session", "ONNX", network, wants=network.wants)
