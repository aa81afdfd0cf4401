"""ONNX Runtime, with its telemetry off.

The official builds report usage to their vendor, starting at import, and leave a device id and an
event queue in the user's cache folder.
"""

import os
from typing import Any

from deceive.common.errors import InputError


def forbid_telemetry() -> None:
    """Turn off the telemetry of ONNX Runtime for every later import.

    Overrides any earlier setting: a tool that reads other people's models reports nothing.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def onnx_runtime() -> Any:
    """The module `onnxruntime`, with telemetry off.

    Raises `ImportError` when it is not installed.
    """
    forbid_telemetry()  # read once, at import
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for Windows, and if it was already imported
    return onnxruntime


def onnx_packages() -> Any:
    """ONNX Runtime. Raises `InputError` unless all that an export needs is installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  torch.onnx needs it

        return onnx_runtime()
    except ImportError as error:
        raise InputError(
            "expected the packages onnx, onnxscript and onnxruntime "
            f"(pip install 'deceive[onnx]'), got {error}"
        ) from error
