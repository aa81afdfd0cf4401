"""Matplotlib, imported so that no backend of the environment's can stand in the way.

Figures are drawn by its own Agg, and need none.
"""

import os
import sys
from contextlib import suppress


def import_matplotlib() -> None:
    """Import matplotlib, also where MPLBACKEND names a backend that it doesn't know.

    A Jupyter kernel hands its own on to every process it starts, and an unknown one is an error
    that keeps matplotlib, and with it torchmetrics, from being imported. A known one is taken.
    """
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend
