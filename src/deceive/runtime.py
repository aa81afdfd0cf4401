"""ONNX Runtime, with its telemetry off.

Its official builds count what they run and send that to their maker. They begin with the import,
and leave a device id and a queue of events in the user's cache folder.
"""

import os
from typing import Any


def forbid_telemetry() -> None:
    """See to it that ONNX Runtime, imported from now on by anything in this process, is silent.

    Set to "1" whatever it was before: a tool that reads other people's models reports nothing.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def onnx_runtime() -> Any:
    """The module `onnxruntime`, its telemetry off.

    Raises `ImportError` where it is not installed.
    """
    forbid_telemetry()  # it is read once, at the import
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # for Windows, and where it was imported before
    return onnxruntime
